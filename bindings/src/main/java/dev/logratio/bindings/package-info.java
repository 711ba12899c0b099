/**
 * What jextract makes of {@code logratio.h}, and {@link dev.logratio.bindings.NativeLibrary}, which
 * loads the library behind it. Internal: applications use the module {@code dev.logratio}.
 */
package dev.logratio.bindings;
