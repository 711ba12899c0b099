/** An application of somebody else. */
module dev.logratio.application {
    requires dev.logratio;
}
