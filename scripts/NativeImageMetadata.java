import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/**
 * Tells GraalVM's native-image of the losses, whose records are read by reflection, every type
 * below {@code Loss} and {@code FDivergence}, and of the file that holds the version.
 *
 * <p>Argument: the file to write, which is left alone if it says so already. The library's classes
 * are on the class path.
 */
class NativeImageMetadata {
    public static void main(String[] arguments) throws IOException, ClassNotFoundException {
        Stream<Class<?>> roots =
                Stream.of(
                        Class.forName("dev.logratio.loss.Loss"),
                        Class.forName("dev.logratio.loss.FDivergence"));
        String types =
                roots.flatMap(NativeImageMetadata::hierarchy)
                        .map(NativeImageMetadata::entry)
                        .distinct()
                        .sorted()
                        .collect(Collectors.joining(",\n"));
        String metadata =
                """
                {
                  "reflection": [
                %s
                  ],
                  "resources": [
                    {"glob": "dev/logratio/version"}
                  ]
                }
                """
                        .formatted(types);
        Path file = Path.of(arguments[0]);
        if (!Files.exists(file) || !Files.readString(file).equals(metadata)) {
            Files.createDirectories(file.getParent());
            Files.writeString(file, metadata);
        }
    }

    private static Stream<Class<?>> hierarchy(Class<?> type) {
        Stream<Class<?>> below =
                type.isSealed()
                        ? Stream.of(type.getPermittedSubclasses())
                                .flatMap(NativeImageMetadata::hierarchy)
                        : Stream.empty();
        return Stream.concat(Stream.of(type), below);
    }

    private static String entry(Class<?> type) {
        return "    {\"type\": \""
                + type.getName()
                + "\", \"allDeclaredConstructors\": true, \"allDeclaredMethods\": true}";
    }
}
