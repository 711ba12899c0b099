/** Files that are written whole or not at all; not exported. */
package dev.logratio.cli.file;
