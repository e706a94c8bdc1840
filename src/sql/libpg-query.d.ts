/** The WASM module inside the libpg-query package, which its own types leave out. Emscripten's names. */
declare module 'libpg-query/wasm/libpg-query.js' {
  export interface PgQueryModule {
    readonly HEAPU8: Uint8Array;
    _malloc(bytes: number): number;
    _free(pointer: number): void;
    /** A PgQueryParseResult: pointers to the tree as JSON, to what went to stderr, and to a PgQueryError. */
    _wasm_parse_query_raw(text: number): number;
    _wasm_free_parse_result(result: number): void;
    getValue(pointer: number, type: 'i32'): number;
    lengthBytesUTF8(text: string): number;
    stringToUTF8(text: string, pointer: number, maxBytes: number): void;
    UTF8ToString(pointer: number): string;
  }

  /** Makes a new instance with memory of its own. */
  export default function instantiate(): Promise<PgQueryModule>;
}
