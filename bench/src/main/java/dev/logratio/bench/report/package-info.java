/**
 * What a run of the benchmarks found, and what is made of it: tables, JSON, Markdown, charts, the
 * comparison with an earlier run and the parts of the documents that show figures. Nothing is
 * measured here.
 */
package dev.logratio.bench.report;
