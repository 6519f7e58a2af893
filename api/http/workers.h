// Threads for what a handler may not do on a network thread: password hashes, disk, tokens.
#ifndef REWRAP_API_HTTP_WORKERS_H_
#define REWRAP_API_HTTP_WORKERS_H_

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "api/http/message.h"

namespace rewrap {

// Workers run jobs in the order given. Any thread. The queue is bounded: a server that is behind
// says so at once, and does not collect work whose clients are gone by then.
class Workers {
 public:
  Workers(std::size_t num_threads, std::size_t max_queued);
  Workers(const Workers&) = delete;
  Workers& operator=(const Workers&) = delete;
  ~Workers();  // stop

  // run queues a job; false if the queue is full or stop was called. An exception from a job ends the
  // program.
  [[nodiscard]] bool run(std::function<void()> job);

  // stop takes no more jobs, finishes those that run, drops those that wait, and ends the threads.
  void stop();

 private:
  void work();

  const std::size_t max_queued_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::function<void()>> queue_;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

// on_workers gives a handler that runs `handler` on `workers`, and answers with `when_full` (a 503 in
// the front end's shape) where there is no room. `workers` must outlive it.
HttpHandler on_workers(Workers* workers, HttpHandler handler,
                       std::function<HttpResponse(const HttpRequest&)> when_full);

}  // namespace rewrap

#endif  // REWRAP_API_HTTP_WORKERS_H_
