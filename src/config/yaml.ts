import { LineCounter, parseDocument, visit, type Document, type YAMLError } from 'yaml';
import type { Problem } from '../core/errors.js';

/** The parser's own messages repeat pieces of the file, which may be secrets; these don't. */
const SYNTAX: Partial<Record<YAMLError['code'], readonly [message: string, fix: string]>> = {
  BAD_DQ_ESCAPE: ['an unknown escape in a "quoted" text', "use 'single quotes' where \\ is meant as it stands"],
  BAD_INDENT: ['the indentation does not fit', 'look for an open quote, [ or {; indent the keys of one level equally'],
  BAD_SCALAR_START: ['a value begins with a character that YAML reserves', 'put the value in quotes'],
  BLOCK_AS_IMPLICIT_KEY: ['two keys stand on one line', 'put the value in quotes if it holds ": "'],
  DUPLICATE_KEY: ['the same key stands here for the second time', 'keep one of them'],
  MISSING_CHAR: ['something is not closed, or a ":" or "," is missing', 'look for an open quote, [ or {'],
  MULTILINE_IMPLICIT_KEY: ['a key runs over several lines', 'look for a missing ":" or an open quote'],
  MULTIPLE_DOCS: ['the file holds more than one document', 'remove what follows "---"'],
  NON_STRING_KEY: ['a key is not a text', 'put the key in quotes'],
  TAB_AS_INDENT: ['a tab is used as indentation', 'use spaces'],
  TAG_RESOLVE_FAILED: ['a value begins with !', 'put the value in quotes'],
  UNEXPECTED_TOKEN: ['something is out of place', 'look for a missing quote, "- " or ":"'],
};

/** Parses YAML or JSON (YAML holds it). Problems carry the line and column as their path; an empty file is `undefined`. */
export function parseYaml(text: string): { value?: unknown; problems: Problem[] } {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, stringKeys: true });
  const syntax = document.errors.map(({ code, pos }) => problemAt(lines, pos[0], ...textOf(code)));
  const problems = syntax.length > 0 ? syntax : unknownAliases(document, lines);
  if (problems.length > 0) return { problems };
  try {
    return { value: document.toJS() ?? undefined, problems };
  } catch {
    return {
      problems: [{ path: '', message: 'the file repeats aliases (*name) too often', fix: 'write the values out' }],
    };
  }
}

function textOf(code: YAMLError['code']): readonly [message: string, fix: string] {
  return SYNTAX[code] ?? [`not valid YAML (${code})`, 'see the YAML syntax for this place'];
}

function unknownAliases(document: Document, lines: LineCounter): Problem[] {
  const problems: Problem[] = [];
  visit(document, {
    Alias(_, alias) {
      if (alias.resolve(document) !== undefined) return;
      problems.push(problemAt(lines, alias.range?.[0] ?? 0, 'a value begins with *', 'put the value in quotes'));
    },
  });
  return problems;
}

function problemAt(lines: LineCounter, offset: number, message: string, fix: string): Problem {
  const { line, col } = lines.linePos(offset);
  return { path: `line ${line}, column ${col}`, message, fix };
}
