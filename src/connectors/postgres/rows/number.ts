import { Refusal } from './refusal.js';

/** The shortest text that is read as this very number. Whole numbers that may have been rounded are refused. */
export function exactNumber(value: number): string {
  if (Number.isInteger(value) && !Number.isSafeInteger(value) && Math.abs(value) < 1e21) throw unsafe();
  return Object.is(value, -0) ? '-0' : String(value);
}

export function wholeNumber(value: number, type: string): string {
  if (!Number.isFinite(value)) throw new Refusal(`${value} is no value of type ${type}`);
  if (!Number.isInteger(value)) throw new Refusal(`a number with a fraction is no value of type ${type}`);
  if (!Number.isSafeInteger(value)) throw unsafe();
  return String(value);
}

/** A fraction was rounded to binary when it became a number of JavaScript's. */
export function decimalNumber(value: number): string {
  if (!Number.isFinite(value)) return String(value);
  if (!Number.isInteger(value))
    throw new Refusal('a number of JavaScript has its fraction in binary: give a text such as 12.50');
  if (!Number.isSafeInteger(value)) throw unsafe();
  return String(value);
}

function unsafe(): Refusal {
  return new Refusal('a number so large may have been rounded by JavaScript: give a text or a bigint');
}
