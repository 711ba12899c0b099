package dev.logratio.bindings;

import java.io.IOException;
import java.lang.foreign.Linker;
import java.nio.file.FileSystems;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/**
 * Who could put a file of theirs in the place of one that is about to be loaded. Paths are judged
 * after their symbolic links are resolved, and only the resolved path may be used afterwards.
 */
final class FolderTrust {
    /**
     * A file or folder as the system describes it: the number of its owner, and its type and
     * permissions as chmod counts them.
     */
    record Entry(Path path, int owner, int mode) {
        private static final int STICKY = 01000;
        private static final int WRITABLE_BY_GROUP_OR_OTHERS = 022;
        private static final int WRITABLE_BY_OTHERS = 002;

        private static Entry of(Path path) throws IOException {
            Map<String, Object> attributes = Files.readAttributes(path, "unix:uid,mode");
            return new Entry(
                    path, (Integer) attributes.get("uid"), (Integer) attributes.get("mode"));
        }

        private boolean isSticky() {
            return (mode & STICKY) != 0;
        }

        private boolean isWritableByGroupOrOthers() {
            return (mode & WRITABLE_BY_GROUP_OR_OTHERS) != 0;
        }

        private boolean isWritableByOthers() {
            return (mode & WRITABLE_BY_OTHERS) != 0;
        }
    }

    private static volatile Set<Integer> trusted;

    private FolderTrust() {}

    /**
     * Checks that nobody but this user and root can change what lies in a folder, or put another
     * folder in its place.
     *
     * @param folder an existing folder, without symbolic links
     * @throws UntrustedFolderException if somebody can; the message names the folder of the path
     *     and says why
     */
    static void requireOwn(Path folder) throws IOException {
        throwIfPresent(objectionToOwn(entries(folder), trustedUsers()));
    }

    /**
     * Checks that a folder of one's own can be made in another, where nobody can change or replace
     * it.
     *
     * @param parent an existing folder, without symbolic links
     * @throws UntrustedFolderException if somebody could
     */
    static void requireOwnBelow(Path parent) throws IOException {
        throwIfPresent(objectionToParents(entries(parent), trustedUsers()));
    }

    /**
     * Checks that not everybody can change a file that the user named, or put another file beside
     * it. Its owner may be anybody: who names a file decides whom to trust.
     *
     * @param file an existing file, without symbolic links
     * @throws UntrustedFolderException if everybody can; the message names the file or folder
     */
    static void requireNotShared(Path file) throws IOException {
        if (FileSystems.getDefault().supportedFileAttributeViews().contains("unix")) {
            throwIfPresent(objectionToNamed(entries(file)));
        }
    }

    /** Whether a file or folder belongs to this user or root, and nobody else can write it. */
    static boolean isOwn(Path path) throws IOException {
        Entry entry = Entry.of(path);
        return trustedUsers().contains(entry.owner()) && !entry.isWritableByGroupOrOthers();
    }

    /**
     * Why a folder, the last of the entries from the root folder down to it, is not this user's
     * own.
     */
    static Optional<String> objectionToOwn(List<Entry> entries, Set<Integer> trusted) {
        Entry folder = entries.getLast();
        return objectionToParents(entries, trusted)
                .or(
                        () ->
                                folder.isWritableByGroupOrOthers()
                                        ? Optional.of(writableBy("other users", folder))
                                        : Optional.empty());
    }

    /**
     * In a sticky folder nobody can rename or remove what belongs to others, so that a folder below
     * it is safe.
     */
    private static Optional<String> objectionToParents(List<Entry> entries, Set<Integer> trusted) {
        for (Entry entry : entries) {
            if (!trusted.contains(entry.owner())) {
                return Optional.of(
                        entry.path()
                                + " belongs to another user, number "
                                + Integer.toUnsignedString(entry.owner()));
            }
            if (entry.isWritableByGroupOrOthers() && !entry.isSticky()) {
                return Optional.of(writableBy("other users", entry));
            }
        }
        return Optional.empty();
    }

    /**
     * Why a file, the last of the entries from the root folder down to it, should not be loaded
     * even if its user named it.
     */
    static Optional<String> objectionToNamed(List<Entry> entries) {
        int folder = entries.size() - 2;
        for (int i = 0; i < entries.size(); i++) {
            Entry entry = entries.get(i);
            boolean isSafeParent = entry.isSticky() && i < folder;
            if (entry.isWritableByOthers() && !isSafeParent) {
                return Optional.of(writableBy("everybody", entry));
            }
        }
        return Optional.empty();
    }

    private static String writableBy(String whom, Entry entry) {
        return entry.path() + " can be written by " + whom;
    }

    private static void throwIfPresent(Optional<String> objection) throws UntrustedFolderException {
        if (objection.isPresent()) {
            throw new UntrustedFolderException(objection.get());
        }
    }

    /** From the root folder down to the path itself. */
    private static List<Entry> entries(Path path) throws IOException {
        List<Entry> entries = new ArrayList<>();
        for (Path at = path; at != null; at = at.getParent()) {
            entries.addFirst(Entry.of(at));
        }
        return entries;
    }

    /**
     * This user, root, and whoever owns the root folder: in a user namespace, root of the system
     * outside has another number.
     */
    private static Set<Integer> trustedUsers() throws IOException {
        Set<Integer> users = trusted;
        if (users == null) {
            // Java itself knows the name of a user alone, which not every user has.
            int user =
                    NativeLibrary.call(
                            Linker.nativeLinker().defaultLookup().findOrThrow("geteuid"));
            users = new HashSet<>(List.of(user, 0, Entry.of(Path.of("/")).owner()));
            trusted = users;
        }
        return users;
    }
}
