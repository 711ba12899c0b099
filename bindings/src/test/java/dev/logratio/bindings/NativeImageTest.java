package dev.logratio.bindings;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;

import java.io.IOException;
import java.io.InputStream;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandle;
import java.lang.invoke.MethodType;
import java.lang.reflect.Field;
import java.lang.reflect.Modifier;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Collectors;

/** GraalVM's native-image is told of every kind of call of a C function, one a line. */
class NativeImageTest {
    private static final String METADATA =
            "/META-INF/native-image/dev.logratio/logratio-bindings/reachability-metadata.json";

    @Test
    void namesEveryCallOfC() throws Exception {
        NativeLibrary.load();
        List<Class<?>> callers = new ArrayList<>(List.of(logratio_h.class.getDeclaredClasses()));
        callers.add(NativeMemory.class);
        List<String> expected = new ArrayList<>();
        for (Class<?> caller : callers) {
            for (Field field : caller.getDeclaredFields()) {
                if (field.getType() == MethodHandle.class
                        && Modifier.isStatic(field.getModifiers())) {
                    field.setAccessible(true);
                    expected.add(entry(((MethodHandle) field.get(null)).type()));
                }
            }
        }
        assertTrue(expected.size() > 10, expected::toString);
        assertEquals(
                expected.stream().distinct().sorted().toList(),
                metadata()
                        .lines()
                        .map(String::strip)
                        .filter(line -> line.contains("returnType"))
                        .map(line -> line.replaceFirst(",$", ""))
                        .toList());
    }

    @Test
    void includesTheLibrariesOfTheJar() throws IOException {
        assertTrue(metadata().contains("{\"glob\": \"META-INF/native/**\"}"));
    }

    private static String entry(MethodType type) {
        return "{\"returnType\": "
                + name(type.returnType())
                + ", \"parameterTypes\": ["
                + Arrays.stream(type.parameterArray())
                        .map(NativeImageTest::name)
                        .collect(Collectors.joining(", "))
                + "]}";
    }

    private static String name(Class<?> type) {
        String name;
        if (type == MemorySegment.class) {
            name = "void*";
        } else {
            name = type == void.class ? "void" : "j" + type;
        }
        return '"' + name + '"';
    }

    private static String metadata() throws IOException {
        try (InputStream stream = NativeImageTest.class.getResourceAsStream(METADATA)) {
            return new String(stream.readAllBytes(), StandardCharsets.UTF_8);
        }
    }
}
