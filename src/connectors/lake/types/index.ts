export { lakeTypeOf } from './lake-type-of.js';
export { printedType } from './printed-type.js';
export { unknownType } from './unknown-type.js';
