/**
 * The quickstart: trains a small language model on preferences with several losses, and compares
 * them.
 *
 * <p>A preference file holds one JSON object per line, or one JSON array of them, in UTF-8, plain
 * or compressed by gzip. Anything else is refused with one line that says what it is. The columns
 * of an object:
 *
 * <ul>
 *   <li>The answers are {@code chosen} and {@code rejected}, or {@code output}: a list of both, the
 *       better one first, or a text in place of {@code chosen}. An answer is a string, a
 *       transcript, a message or a list of messages.
 *   <li>The prompt is {@code prompt}, {@code conversations}, {@code question}, {@code instruction}
 *       with {@code input}, or {@code input} alone, the first of these that is there; {@code
 *       system} goes before it. Without any of them it is what both answers have in common at their
 *       start.
 *   <li>A message is {@code {"role", "content"}} or, in share-GPT lists, {@code {"from", "value"}}.
 *   <li>A transcript is a text such as {@code "\n\nHuman: ...\n\nAssistant: ..."}, also with
 *       Chinese speakers, full-width colons and without white space.
 * </ul>
 *
 * <p>A prompt that both answers repeat, behind a system turn or not, is taken off them. Columns
 * with other names are told once: those that were used, and those that were left out.
 */
package dev.logratio.trainers.quickstart;
