// A service without sockets, for tests that kill it, and for those that ask of its jobs from another
// process: service_host STORE [--rekey KEYSET RATE] [--audit FILE] [--service-root URI]. Says "ready" and ends when its input does.
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "api/service/service.h"

namespace rewrap {
namespace {

struct Arguments {
  ServiceOptions options;
  std::string keyset;  // to be rekeyed; empty: none
  double rate = 0;
};

// parse gives false for what is no command line of ours.
bool parse(const std::vector<std::string>& words, Arguments* arguments) {
  if (words.empty()) return false;
  arguments->options.store_directory = words[0];
  arguments->options.root.allow_file_root = true;
  for (std::size_t at = 1; at < words.size();) {
    const std::size_t left = words.size() - at - 1;
    if (words[at] == "--rekey" && left >= 2) {
      arguments->keyset = words[at + 1];
      arguments->rate = std::strtod(words[at + 2].c_str(), nullptr);
      at += 3;
    } else if (words[at] == "--audit" && left >= 1) {
      arguments->options.audit_file = words[at + 1];
      at += 2;
    } else if (words[at] == "--service-root" && left >= 1) {
      arguments->options.service_root_uri = words[at + 1];
      at += 2;
    } else {
      return false;
    }
  }
  return true;
}

int run(const std::vector<std::string>& words) {
  Arguments arguments;
  if (!parse(words, &arguments)) return 2;
  auto service = Service::open(std::move(arguments.options));
  if (!service.ok()) {
    std::fprintf(stderr, "service_host: %s\n", service.status().describe().c_str());
    return 1;
  }
  if (!arguments.keyset.empty()) {
    RekeyRequest request;
    request.keyset = arguments.keyset;
    request.rate_limit = arguments.rate;
    const auto start = service.value()->jobs().start_rekey(request, {});
    if (!start.ok()) return 1;
    std::puts(format_uuid(start->job.uuid).c_str());
    std::fflush(stdout);
  }
  std::puts("ready");
  std::fflush(stdout);
  while (std::getchar() != EOF) {
  }
  return 0;
}

}  // namespace
}  // namespace rewrap

int main(int argc, char** argv) { return rewrap::run({argv + 1, argv + argc}); }
