// Paths are looked up among a handful of prefixes.
#include "api/http/router.h"

#include <algorithm>
#include <utility>

namespace rewrap {

void HttpRouter::add(HttpFront front) {
  const auto at = std::find_if(fronts_.begin(), fronts_.end(), [&](const HttpFront& other) {
    return other.prefix.size() < front.prefix.size();
  });
  fronts_.insert(at, std::move(front));
}

const HttpFront* HttpRouter::find(std::string_view path) const {
  for (const HttpFront& front : fronts_) {
    if (!path.starts_with(front.prefix)) continue;
    if (path.size() == front.prefix.size() || path[front.prefix.size()] == '/') return &front;
  }
  return nullptr;
}

HttpHandler HttpRouter::handler() const {
  return [this](const std::shared_ptr<const HttpRequest>& request, const HttpRespond& respond) {
    const HttpFront* front = find(request->path);
    if (front == nullptr) return respond(plain_error(404));
    front->handler(request, respond);
  };
}

std::function<HttpResponse(int, std::string_view)> HttpRouter::error_shape() const {
  return [this](int status, std::string_view path) {
    const HttpFront* front = find(path);
    return front != nullptr && front->error_shape ? front->error_shape(status)
                                                  : plain_error(status);
  };
}

}  // namespace rewrap
