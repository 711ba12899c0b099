/**
 * What {@link dev.logratio.cuda} runs on: the functions of CUDA's runtime, by JCuda where it is on
 * the path and by the native library where it is not, and the streams and events made of them.
 * Classes that mention JCuda's types begin with its name; none of them is loaded without it.
 */
package dev.logratio.internal.cuda;
