/** What several packages of the library need: option records and functions of numbers. */
package dev.logratio.internal;
