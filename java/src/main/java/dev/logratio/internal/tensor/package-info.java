/** The code behind {@link dev.logratio.Tensor}: memory and its users, strided views, elements. */
package dev.logratio.internal.tensor;
