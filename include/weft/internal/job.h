// What an OS thread of a pool runs. Intrusive: a job lies in the object that wants it to be done, such as an awaiter.
// The pool is in lib/os/job_pool.h.
#ifndef WEFT_INTERNAL_JOB_H_
#define WEFT_INTERNAL_JOB_H_

#include "weft/internal/compiler.h"

#include "weft/internal/list.h"

namespace weft::internal {

struct JobTag;

struct Job : ListNode<JobTag> {
  Job(void (*run_it)(Job&) noexcept, void (*refuse_it)(Job&, int error) noexcept) noexcept
      : run(run_it), refuse(refuse_it) {}

  // One of the two is called, once, unless the job is withdrawn. The job may be gone when it returns.
  void (*const run)(Job&) noexcept;
  void (*const refuse)(Job&, int error) noexcept;  // there is no OS thread for it: an errno
};
using JobQueue = List<Job, JobTag>;

}  // namespace weft::internal

#endif  // WEFT_INTERNAL_JOB_H_
