package dev.logratio;

/**
 * What makes the matrix products of the linear operations.
 *
 * @param library name and version: {@code "oneDNN 3.13.0"}, {@code "OpenBLAS 0.3.31"}, {@code
 *     "cuBLASLt 13.1.0"}, or {@code "Logratio"} where no library was found and the own products
 *     stand in
 * @param path the library's file; empty for the own products
 * @param bfloat16 whether BF16 is multiplied as it is; otherwise it is widened to float32 first
 * @since 0.1.0
 */
public record GemmInfo(String library, String path, boolean bfloat16) {}
