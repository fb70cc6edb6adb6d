import { defineSource, FatalError, RetryableError, type OpenContext, type SourceRow } from 'longhaul';

type Columns = { name: string; type: string }[];
type Page = { rows: SourceRow[]; next?: string };

export default defineSource({
  open: ({ options: { url, token }, signal }: OpenContext<{ url: string; token: string }>) =>
    async function get<T>(path: string): Promise<T> {
      const response = await fetch(new URL(path, url), { headers: { authorization: `Bearer ${token}` }, signal });
      if (response.ok) return (await response.json()) as T;
      const Kind = [400, 401, 403, 404].includes(response.status) ? FatalError : RetryableError;
      throw new Kind(`the API answered ${response.status}`);
    },
  describe: async (get, { table }) => ({ columns: await get<Columns>(`/${table}/columns`), primaryKey: ['id'] }),
  async *plan(get, { table }) {
    for (const year of await get<string[]>(`/${table}/years`)) yield { id: year, query: `/${table}?year=${year}` };
  },
  async *stream(get, { query }) {
    for (let path: string | undefined = query; path !== undefined;) {
      const page: Page = await get<Page>(path);
      yield page.rows;
      path = page.next;
    }
  },
});
