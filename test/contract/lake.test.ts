import { JSON_LAKE_CAPABILITIES } from '../support/json-lake.js';
import { lakeFixture } from './lake-fixture.js';
import { connectorContract } from './suite.js';

const { publishes, rejects, attempts } = JSON_LAKE_CAPABILITIES;

connectorContract('lake', () => Promise.resolve(lakeFixture()), { publishes, rejects, attempts, digest: false });
