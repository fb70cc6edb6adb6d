/**
 * An API as some company has it: orders by year, in pages, behind a token. One of twenty requests fails.
 *
 *   ERP_TOKEN=secret npx jiti api.ts     # then it listens on http://127.0.0.1:8787
 */
import { createServer, type IncomingMessage, type Server } from 'node:http';
import { fileURLToPath } from 'node:url';

/** Orders a year. */
export const YEARS: Readonly<Record<string, number>> = { 2023: 1_204, 2024: 950, 2025: 37 };
const PAGE = 100;

const COLUMNS = [
  { name: 'id', type: 'bigint' },
  { name: 'ordered_at', type: 'timestamptz' },
  { name: 'amount', type: 'numeric(12,2)' },
  { name: 'note', type: 'text' },
];

/** Numbers that JSON's readers would round are texts. */
function order(year: string, n: number) {
  return {
    id: `${year}${String(n).padStart(15, '0')}`,
    ordered_at: `${year}-03-01T00:00:00.${String(n).padStart(6, '0')}Z`,
    amount: `${n}.${String(n % 100).padStart(2, '0')}`,
    note: n % 3 === 0 ? null : n % 3 === 1 ? '' : `order ${n} – ✓`,
    internal: 'of no interest',
  };
}

function page(year: string, from: number) {
  const count = YEARS[year];
  if (count === undefined) return undefined;
  const to = Math.min(from + PAGE, count);
  const rows = Array.from({ length: to - from }, (_, index) => order(year, from + index));
  return { rows, ...(to < count && { next: `/orders?year=${year}&from=${to}` }) };
}

function answer(url: URL): unknown {
  if (url.pathname === '/orders/columns') return COLUMNS;
  if (url.pathname === '/orders/years') return Object.keys(YEARS);
  if (url.pathname !== '/orders') return undefined;
  return page(url.searchParams.get('year') ?? '', Number(url.searchParams.get('from') ?? 0));
}

/** Every so many requests, one fails. */
export function createApi(token: string, failing = 20): Server {
  let requests = 0;
  const respond = (request: IncomingMessage): { status: number; body?: unknown } => {
    if (request.headers.authorization !== `Bearer ${token}`) return { status: 401 };
    if (++requests % failing === 0) return { status: 503 };
    const body = answer(new URL(request.url ?? '/', 'http://api'));
    return body === undefined ? { status: 404 } : { status: 200, body };
  };
  return createServer((request, response) => {
    const { status, body = {} } = respond(request);
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
  });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  createApi(process.env.ERP_TOKEN ?? '').listen(8787, '127.0.0.1');
  console.log('The API listens on http://127.0.0.1:8787');
}
