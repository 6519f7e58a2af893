// A bounded queue and its threads.
#include "api/http/workers.h"

#include <utility>

namespace rewrap {

Workers::Workers(std::size_t num_threads, std::size_t max_queued) : max_queued_(max_queued) {
  threads_.reserve(num_threads);
  for (std::size_t i = 0; i < num_threads; ++i) threads_.emplace_back([this] { work(); });
}

Workers::~Workers() { stop(); }

bool Workers::run(std::function<void()> job) {
  {
    const std::lock_guard lock(mutex_);
    if (stopping_ || queue_.size() >= max_queued_) return false;
    queue_.push_back(std::move(job));
  }
  wake_.notify_one();
  return true;
}

void Workers::stop() {
  std::deque<std::function<void()>> dropped;
  std::vector<std::thread> threads;
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    dropped.swap(queue_);
    threads.swap(threads_);
  }
  wake_.notify_all();
  dropped.clear();  // now: clients wait for the 500 that this gives them
  for (std::thread& thread : threads) thread.join();
}

void Workers::work() {
  for (;;) {
    std::function<void()> job;
    {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
      if (stopping_) return;
      job = std::move(queue_.front());
      queue_.pop_front();
    }
    job();
  }
}

HttpHandler on_workers(Workers* workers, HttpHandler handler,
                       std::function<HttpResponse(const HttpRequest&)> when_full) {
  auto shared = std::make_shared<const HttpHandler>(std::move(handler));
  return [workers, shared, when_full = std::move(when_full)](
             const std::shared_ptr<const HttpRequest>& request, const HttpRespond& respond) {
    const bool queued = workers->run([shared, request, respond] {
      try {
        (*shared)(request, respond);
      } catch (...) {
        // The responder goes unanswered, which is a 500.
      }
    });
    if (!queued) respond(when_full(*request));
  };
}

}  // namespace rewrap
