package dev.logratio.bindings;

import java.io.IOException;

/**
 * Others than this user could change what lies in a folder; the message says which folder and who.
 */
final class UntrustedFolderException extends IOException {
    private static final long serialVersionUID = 1L;

    UntrustedFolderException(String message) {
        super(message);
    }
}
