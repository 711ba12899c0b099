/**
 * Reading and writing safetensors files.
 *
 * <p>The format: eight bytes of little-endian header length, a JSON header naming each tensor's
 * dtype, shape and place, then the tensors' bytes. Reading is strict: whatever the format forbids
 * is refused with one line that says what is wrong and where.
 */
@NullMarked
package dev.logratio.safetensors;

import org.jspecify.annotations.NullMarked;
