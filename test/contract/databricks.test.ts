import { LAKE_CAPABILITIES } from '../../src/connectors/lake/open.js';
import { databricksFixture } from './databricks-fixture.js';
import { connectorContract } from './suite.js';

const { publishes, rejects, attempts } = LAKE_CAPABILITIES;

connectorContract('databricks', databricksFixture, { publishes, rejects, attempts, digest: false });
