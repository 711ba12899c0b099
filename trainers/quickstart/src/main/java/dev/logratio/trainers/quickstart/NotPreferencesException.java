package dev.logratio.trainers.quickstart;

import java.io.IOException;

/** Says what a file is instead of a preference file, as the words that follow the file's name. */
final class NotPreferencesException extends IOException {
    private static final long serialVersionUID = 1;
    private static final String EXPECTED =
            "; expected JSON lines or a JSON array in UTF-8, plain or compressed by gzip";

    NotPreferencesException(String reason) {
        super(reason);
    }

    /** A file of another kind, such as "a Parquet file". */
    static NotPreferencesException of(String kind) {
        return new NotPreferencesException("is " + kind + EXPECTED);
    }
}
