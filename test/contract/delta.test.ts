import { LAKE_CAPABILITIES } from '../../src/connectors/lake/open.js';
import { realLakeFixture } from './real-lake-fixture.js';
import { connectorContract } from './suite.js';

const { publishes, rejects, attempts } = LAKE_CAPABILITIES;

connectorContract('delta', () => realLakeFixture('delta'), { publishes, rejects, attempts, digest: false });
