import { postgresFixture } from './postgres-fixture.js';
import { connectorContract } from './suite.js';

connectorContract('postgres', postgresFixture);
