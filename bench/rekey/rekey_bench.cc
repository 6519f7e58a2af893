// A durable rekey of a whole store, beside what it is measured against in the same run: a plain
// copy and fsync of the store's file, the same re-wraps in memory only, and a loop over
// EVP_aes_256_wrap as most software does it today.
//
// Usage: rekey_bench [--deks=N] [--threads=T] [--directory=DIR] [Google Benchmark options]
#include <benchmark/benchmark.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "engine/implementation.h"
#include "hsm/random.h"
#include "hsm/root.h"
#include "rekey/keyset.h"
#include "rekey/rekey.h"
#include "rekey/verify.h"

namespace rewrap {
namespace {

constexpr std::size_t kDekLen = 32;
constexpr std::size_t kWrapLen = kDekLen + kSemiblockLen;
constexpr const char* kKeyset = "bench";

struct Settings {
  std::uint64_t num_deks = 1'000'000;
  unsigned num_threads = 2;
  std::string directory = ".";
};
Settings settings;

void must(const Status& status) {
  if (status.ok()) return;
  static_cast<void>(std::fprintf(stderr, "rekey_bench: %s\n", status.describe().c_str()));
  std::exit(1);
}
template <typename T>
T must(Result<T> result) {
  must(result.status());
  return std::move(result).value();
}

RootOptions file_root_allowed() {
  RootOptions options;
  options.allow_file_root = true;
  return options;
}

// Bench holds a store with one keyset of random DEKs; made on first use, removed at the end.
class Bench {
 public:
  Bench()
      : directory_(settings.directory + "/rekey_bench." + std::to_string(getpid())),
        root_uri_(root_uri()) {
    must(create_root_key(root_uri_, file_root_allowed()));
    store_ = must(open_store(directory_ + "/store", OpenMode::kCreate));
    Keyring keyring(file_root_allowed());
    must(create_keyset(store_.get(), {kKeyset, root_uri_, WrapAlgorithm::kKw, kDekLen}, &keyring));
    must(generate_deks(store_.get(), kKeyset, &keyring, settings.num_deks, kDekLen,
                       *implementation_, {}));
  }
  ~Bench() {
    for (const char* file :
         {"/store/data.mdb", "/store/lock.mdb", "/store/keyset-1.lock", "/copy", "/root.key"}) {
      unlink((directory_ + file).c_str());
    }
    rmdir((directory_ + "/store").c_str());
    rmdir(directory_.c_str());
  }
  Bench(const Bench&) = delete;
  Bench& operator=(const Bench&) = delete;

  RekeyReport rekey_once() {
    Keyring keyring(file_root_allowed());
    RekeyOptions options;
    options.implementation = implementation_;
    options.num_threads = settings.num_threads;
    return must(rekey(store_.get(), kKeyset, &keyring, options));
  }
  VerifyReport verify_once() {
    Keyring keyring(file_root_allowed());
    return must(
        verify(store_.get(), kKeyset, &keyring, {implementation_, settings.num_threads, {}}));
  }
  [[nodiscard]] std::string data_file() const { return directory_ + "/store/data.mdb"; }
  [[nodiscard]] std::string copy_file() const { return directory_ + "/copy"; }

 private:
  std::string root_uri() {
    if (mkdir(directory_.c_str(), 0700) != 0)
      must(Status::from_errno(errno, "mkdir", "cannot make the directory"));
    char* absolute = realpath(directory_.c_str(), nullptr);
    directory_ = absolute == nullptr ? directory_ : absolute;
    std::free(absolute);  // NOLINT(cppcoreguidelines-no-malloc): realpath's
    return "file:" + directory_ + "/root.key";
  }

  std::string directory_;
  std::string root_uri_;
  const Implementation* implementation_ = must(choose_implementation(""));
  std::unique_ptr<Store> store_;
};

// Made by the first benchmark that needs it; main lets it go, so that its directory is removed.
std::unique_ptr<Bench> bench_instance;

Bench& shared_bench() {
  if (!bench_instance) bench_instance = std::make_unique<Bench>();
  return *bench_instance;
}

void report_rate(benchmark::State& state, std::uint64_t deks) {
  const auto total = static_cast<double>(deks) * static_cast<double>(state.iterations());
  state.counters["deks/s"] = benchmark::Counter(total, benchmark::Counter::kIsRate);
}

// What an operator waits for: new KEK version, every segment, every commit fsynced.
void rekey_store(benchmark::State& state) {
  Bench& bench = shared_bench();
  for (auto _ : state) {
    const RekeyReport report = bench.rekey_once();
    if (!report.complete() || report.rewrapped != settings.num_deks)
      state.SkipWithError("the rekey was not complete");
  }
  report_rate(state, settings.num_deks);
}

void verify_store(benchmark::State& state) {
  Bench& bench = shared_bench();
  for (auto _ : state) {
    if (bench.verify_once().ok != settings.num_deks) state.SkipWithError("verify found damage");
  }
  report_rate(state, settings.num_deks);
}

// The floor that disks set: the same file, read and written once and made durable.
void copy_and_fsync(benchmark::State& state) {
  Bench& bench = shared_bench();
  std::vector<char> buffer(std::size_t{1} << 20);
  for (auto _ : state) {
    const int in = open(bench.data_file().c_str(), O_RDONLY | O_CLOEXEC);
    const int out = open(bench.copy_file().c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    ssize_t got = 0;
    bool ok = in >= 0 && out >= 0;
    while (ok && (got = read(in, buffer.data(), buffer.size())) > 0) {
      ok = write(out, buffer.data(), static_cast<std::size_t>(got)) == got;
    }
    ok = ok && got == 0 && fsync(out) == 0;
    close(in);
    close(out);
    if (!ok) state.SkipWithError("the copy failed");
  }
  report_rate(state, settings.num_deks);
}

// Wraps in memory, cut into one part per thread.
struct Memory {
  Kek old_kek;
  Kek new_kek;
  Bytes wraps;
  Bytes out;
};

Kek random_kek() {
  SecretBuffer key = must(SecretBuffer::create(32));
  must(random_bytes(key.expose_secret()));
  return must(Kek::create(std::move(key)));
}

Memory make_memory() {
  Memory memory{random_kek(), random_kek(), Bytes(settings.num_deks * kWrapLen),
                Bytes(settings.num_deks * kWrapLen)};
  Bytes deks(settings.num_deks * kDekLen);
  must(random_bytes(deks));
  Bytes verdicts(settings.num_deks);
  const Implementation* implementation = must(choose_implementation(""));
  auto wrapper = must(implementation->make(
      {kDekLen, std::nullopt, WrapSide{WrapAlgorithm::kKw, &memory.old_kek}, false}));
  must(wrapper->run(deks, memory.wraps, verdicts));
  return memory;
}

// on_each_thread gives `body` a thread's share of the DEKs: first and count.
template <typename Body>
void on_each_thread(const Body& body) {
  std::vector<std::jthread> threads;
  const std::uint64_t share = settings.num_deks / settings.num_threads;
  for (unsigned t = 0; t < settings.num_threads; ++t) {
    const std::uint64_t first = t * share;
    const std::uint64_t count = t + 1 == settings.num_threads ? settings.num_deks - first : share;
    threads.emplace_back([=, &body] { body(first, count); });
  }
}

void rewrap_in_memory(benchmark::State& state) {
  Memory memory = make_memory();
  const Implementation* implementation = must(choose_implementation(""));
  for (auto _ : state) {
    on_each_thread([&](std::uint64_t first, std::uint64_t count) {
      auto transform =
          must(implementation->make({kDekLen, WrapSide{WrapAlgorithm::kKw, &memory.old_kek},
                                     WrapSide{WrapAlgorithm::kKw, &memory.new_kek}, false}));
      Bytes verdicts(count);
      must(transform->run(ByteView(memory.wraps).subspan(first * kWrapLen, count * kWrapLen),
                          ByteSpan(memory.out).subspan(first * kWrapLen, count * kWrapLen),
                          verdicts));
    });
  }
  report_rate(state, settings.num_deks);
}

using Ctx = std::unique_ptr<EVP_CIPHER_CTX, decltype(&EVP_CIPHER_CTX_free)>;

Ctx make_evp(const Kek& kek, int encrypt) {
  Ctx ctx(EVP_CIPHER_CTX_new(), EVP_CIPHER_CTX_free);
  EVP_CIPHER_CTX_set_flags(ctx.get(), EVP_CIPHER_CTX_FLAG_WRAP_ALLOW);
  if (EVP_CipherInit_ex(ctx.get(), EVP_aes_256_wrap(), nullptr, kek.expose_secret().data(), nullptr,
                        encrypt) != 1) {
    must(Status(Errc::kInternal, "EVP_aes_256_wrap cannot be set up"));
  }
  return ctx;
}

// The baseline: unwrap and wrap one key at a time, contexts kept (the fastest way to use it).
void evp_loop_in_memory(benchmark::State& state) {
  Memory memory = make_memory();
  for (auto _ : state) {
    on_each_thread([&](std::uint64_t first, std::uint64_t count) {
      const Ctx unwrap = make_evp(memory.old_kek, 0);
      const Ctx wrap = make_evp(memory.new_kek, 1);
      std::array<std::uint8_t, kWrapLen> dek{};
      for (std::uint64_t k = first; k < first + count; ++k) {
        int len = 0;
        const bool opened = EVP_CipherUpdate(unwrap.get(), dek.data(), &len,
                                             &memory.wraps[k * kWrapLen], kWrapLen) == 1;
        const bool closed =
            EVP_CipherUpdate(wrap.get(), &memory.out[k * kWrapLen], &len, dek.data(), kDekLen) == 1;
        if (!opened || !closed) must(Status(Errc::kInternal, "EVP_aes_256_wrap failed"));
      }
    });
  }
  report_rate(state, settings.num_deks);
}

bool take(std::string_view argument, std::string_view name, std::string* value) {
  if (!argument.starts_with(name)) return false;
  *value = argument.substr(name.size());
  return true;
}

int parse_own_options(int argc, char** argv) {
  int kept = 1;
  for (int i = 1; i < argc; ++i) {
    std::string value;
    if (take(argv[i], "--deks=", &value)) {
      settings.num_deks = std::strtoull(value.c_str(), nullptr, 10);
    } else if (take(argv[i], "--threads=", &value)) {
      settings.num_threads = static_cast<unsigned>(std::strtoul(value.c_str(), nullptr, 10));
    } else if (take(argv[i], "--directory=", &value)) {
      settings.directory = value;
    } else {
      argv[kept++] = argv[i];
    }
  }
  return kept;
}

void register_benchmark(const char* name, void (*run)(benchmark::State&)) {
  const std::string suffix = "/deks:" + std::to_string(settings.num_deks) +
                             "/threads:" + std::to_string(settings.num_threads);
  benchmark::RegisterBenchmark((name + suffix).c_str(), run)
      ->Unit(benchmark::kMillisecond)
      ->UseRealTime()
      ->Iterations(1);
}

int run_benchmarks(int argc, char** argv) {
  argc = parse_own_options(argc, argv);
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv) || settings.num_deks == 0 ||
      settings.num_threads == 0)
    return 2;
  benchmark::AddCustomContext("openssl", OpenSSL_version(OPENSSL_VERSION));
  const std::string implementation = must(choose_implementation(""))->name;
  register_benchmark(("rekey_store/" + implementation).c_str(), rekey_store);
  register_benchmark(("verify_store/" + implementation).c_str(), verify_store);
  register_benchmark("copy_store_and_fsync", copy_and_fsync);
  register_benchmark(("rewrap_in_memory/" + implementation).c_str(), rewrap_in_memory);
  register_benchmark("rewrap_in_memory/evp_aes_256_wrap", evp_loop_in_memory);
  benchmark::RunSpecifiedBenchmarks();
  bench_instance.reset();
  return 0;
}

}  // namespace
}  // namespace rewrap

int main(int argc, char** argv) { return rewrap::run_benchmarks(argc, argv); }
