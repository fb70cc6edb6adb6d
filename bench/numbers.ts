export function positive(text: string): number {
  const number = Number(text);
  if (!Number.isSafeInteger(number) || number < 1) throw new Error(`"${text}" is not a positive whole number.`);
  return number;
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const last = sorted.length - 1;
  return rounded((sorted[Math.floor(last / 2)]! + sorted[Math.ceil(last / 2)]!) / 2);
}

export function rounded(value: number): number {
  return Math.round(value * 100) / 100;
}
