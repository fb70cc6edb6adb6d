export { cancelOnServer } from './cancel.js';
export { ConnectionLost } from './command.js';
export { feedOf, pipe, pipeFrames, send, type CopyCounts, type Feed } from './copy.js';
export { CopyIn, type CopyInOptions, type CopyMeter } from './copy-in.js';
export { CopyOut, type CopyOutOptions } from './copy-out.js';
export { copySocket } from './direct-socket.js';
export { FrameWalker, frameCopyData, ProtocolError } from './frames.js';
