/** What several packages of this module share; not exported. */
package dev.logratio.internal;
