/** The quickstart: trains a small language model on preferences with several losses, and compares them. */
package dev.logratio.trainers.quickstart;
