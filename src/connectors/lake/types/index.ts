export { lakeTypeOf } from './lake-type-of.js';
export { printedType } from './printed-type.js';
