// How many threads a call may use.
#pragma once

namespace logratio::cpu {

int thread_count();
void set_thread_count(int threads);  // 1..LR_MAX_THREADS
const char* thread_count_error();    // what is wrong with LOGRATIO_THREADS; nullptr if nothing is

}  // namespace logratio::cpu
