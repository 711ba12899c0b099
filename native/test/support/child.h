// Runs a piece of a test in a child of fork().
#pragma once

#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <string>

namespace logratio::test {

// "" if body() returned true there, else what became of the child. One that hangs is ended after 20
// s.
template <class Body>
std::string in_child(Body&& body) {
  const pid_t child = fork();
  if (child == 0) {
    alarm(20);
    _exit(body() ? 0 : 1);
  }
  int status = 0;
  if (child < 0 || waitpid(child, &status, 0) != child)
    return "no child";
  if (WIFSIGNALED(status))
    return WTERMSIG(status) == SIGALRM ? "it hung" : "signal " + std::to_string(WTERMSIG(status));
  return WEXITSTATUS(status) == 0 ? "" : "it was not as expected";
}

}  // namespace logratio::test
