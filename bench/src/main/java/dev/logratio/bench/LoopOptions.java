package dev.logratio.bench;

import dev.logratio.bench.report.NoiseBand;

import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.Option;
import picocli.CommandLine.TypeConversionException;

import java.nio.file.Path;
import java.util.Optional;
import java.util.regex.Pattern;
import java.util.regex.PatternSyntaxException;

/** What the alternating loop goes over, how often, and what it is compared with. */
final class LoopOptions {
    private static final int MOST_REPEATS = 99;

    @Option(
            names = "--filter",
            paramLabel = "REGEX",
            converter = PatternConverter.class,
            description =
                    "Only the cases whose name contains a match, such as \"forward f32\"; --list"
                            + " names them.")
    private Pattern filter;

    @Option(
            names = "--repeats",
            paramLabel = "N",
            description =
                    "How often the loop goes over the cases, each time with fewer rounds; 3 unless"
                            + " given. Fewer than 3 tell no noise band.")
    private Integer repeats;

    @Option(
            names = "--against",
            paramLabel = "FILE",
            description =
                    "Compare every ratio with that of a file that --json wrote on this machine with"
                            + " the same threads and LOGRATIO_CPU; end in status 1 if one fell by"
                            + " more than its noise band.")
    private Path against;

    Pattern filter() {
        return filter;
    }

    /** Whether a case of this name is to be measured. */
    boolean wants(String name) {
        return filter == null || filter.matcher(name).find();
    }

    int repeats() {
        return repeats == null ? NoiseBand.LEAST_REPEATS : repeats;
    }

    Path against() {
        return against;
    }

    /** Whether an option is given that needs the loop. */
    boolean needLoop() {
        return repeats != null || against != null;
    }

    /** What is wrong with them, whatever else is given. */
    Optional<String> mistake() {
        if (repeats() < 1 || repeats() > MOST_REPEATS) {
            return Optional.of(
                    "--repeats is " + repeats + ", expected a number in 1.." + MOST_REPEATS);
        }
        if (against != null && repeats() < NoiseBand.LEAST_REPEATS) {
            return Optional.of(
                    "--against needs a noise band, and --repeats "
                            + repeats
                            + " tells none; expected "
                            + NoiseBand.LEAST_REPEATS
                            + " or more");
        }
        return Optional.empty();
    }

    /** A regular expression, with a message of one line when it is none. */
    static final class PatternConverter implements ITypeConverter<Pattern> {
        @Override
        public Pattern convert(String value) {
            try {
                return Pattern.compile(value);
            } catch (PatternSyntaxException e) {
                throw new TypeConversionException(
                        "\"" + value + "\" is not a regular expression: " + e.getDescription());
            }
        }
    }
}
