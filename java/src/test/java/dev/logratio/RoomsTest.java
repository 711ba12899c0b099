package dev.logratio;

import static com.tngtech.archunit.base.DescribedPredicate.not;
import static com.tngtech.archunit.core.domain.JavaClass.Predicates.resideInAPackage;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.classes;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.noClasses;
import static com.tngtech.archunit.library.dependencies.SlicesRuleDefinition.slices;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.tngtech.archunit.base.DescribedPredicate;
import com.tngtech.archunit.core.domain.JavaClass;
import com.tngtech.archunit.core.domain.JavaClasses;
import com.tngtech.archunit.core.domain.JavaModifier;
import com.tngtech.archunit.core.importer.ClassFileImporter;
import com.tngtech.archunit.core.importer.ImportOption;
import com.tngtech.archunit.library.dependencies.SliceAssignment;
import com.tngtech.archunit.library.dependencies.SliceIdentifier;

import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

import java.util.List;
import java.util.Set;
import java.util.TreeSet;

/**
 * The library's rooms: what is exported, and what knows what. An exported package is a front: it
 * hands its calls to the code behind it, and that code knows the types of the front. Beside that,
 * no package depends on another that depends on it.
 */
@Tag("build")
class RoomsTest {
    private static final String INTERNAL = "dev.logratio.internal..";
    private static final DescribedPredicate<JavaClass> FRONT =
            resideInAPackage("dev.logratio..").and(not(resideInAPackage(INTERNAL)));

    private static final JavaClasses LIBRARY =
            new ClassFileImporter()
                    .withImportOption(ImportOption.Predefined.DO_NOT_INCLUDE_TESTS)
                    .withImportOption(location -> !location.contains("/bindings/"))
                    .importPackages("dev.logratio");

    /** Every package by itself. */
    private static final SliceAssignment PACKAGES =
            new SliceAssignment() {
                @Override
                public SliceIdentifier getIdentifierOf(JavaClass type) {
                    return SliceIdentifier.of(type.getPackageName());
                }

                @Override
                public String getDescription() {
                    return "packages";
                }
            };

    @Test
    void packagesHaveNoCycles() {
        slices().assignedFrom(PACKAGES)
                .should()
                .beFreeOfCycles()
                .ignoreDependency(FRONT, resideInAPackage(INTERNAL))
                .check(LIBRARY);
    }

    @Test
    void lossesKnowNoOperation() {
        noClasses()
                .that()
                .resideInAPackage("dev.logratio.loss")
                .should()
                .dependOnClassesThat()
                .resideInAnyPackage("dev.logratio", "dev.logratio.internal.*")
                .check(LIBRARY);
    }

    /** The oracle and the native side know the checks; neither knows the other. */
    @Test
    void theOracleStandsAlone() {
        noClasses()
                .that()
                .resideInAPackage("dev.logratio.internal.reference")
                .should()
                .dependOnClassesThat()
                .resideInAnyPackage("dev.logratio.internal.ffm", "dev.logratio.bindings")
                .check(LIBRARY);
        noClasses()
                .that()
                .resideInAPackage("dev.logratio.internal.ffm")
                .should()
                .dependOnClassesThat()
                .resideInAPackage("dev.logratio.internal.reference")
                .check(LIBRARY);
    }

    @Test
    void theBackendsAreSealed() {
        classes()
                .that()
                .haveFullyQualifiedName("dev.logratio.Tensor")
                .or()
                .haveFullyQualifiedName("dev.logratio.Backend")
                .should()
                .beInterfaces()
                .check(LIBRARY);
        assertTrue(Tensor.class.isSealed());
        assertTrue(Backend.class.isSealed());
    }

    @Test
    void whatIsExported() {
        Set<String> exported =
                new TreeSet<>(
                        LIBRARY.stream()
                                .filter(FRONT)
                                .map(JavaClass::getPackageName)
                                .distinct()
                                .toList());
        assertEquals(
                Set.of(
                        "dev.logratio",
                        "dev.logratio.cuda",
                        "dev.logratio.loss",
                        "dev.logratio.misalignment"),
                exported);
        List<String> types =
                LIBRARY.stream()
                        .filter(type -> type.getPackageName().equals("dev.logratio"))
                        .filter(JavaClass::isTopLevelClass)
                        .filter(type -> type.getModifiers().contains(JavaModifier.PUBLIC))
                        .map(JavaClass::getSimpleName)
                        .toList();
        assertTrue(types.size() <= 37, types.toString());
    }
}
