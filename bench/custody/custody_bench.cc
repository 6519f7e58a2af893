// Durable rekeys in the two custodies in which the KEK never leaves its token, beside what the token
// does of AES-ECB by itself: 24 decryptions and 24 encryptions of one block for a DEK of 32 bytes.
//
// Usage: custody_bench --root=URI [--deks=N] [--in-token-deks=N] [--threads=T] [--rounds=R]
//                      [--directory=DIR] [--out=FILE]
//
// The root is a pkcs11: URI as for rewrap keyset create. Everything is measured in turn in each
// round; the medians are told, and how far apart the rounds were, and written to FILE as JSON. The
// KEKs made are destroyed again.
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/secret_buffer.h"
#include "engine/implementation.h"
#include "hsm/root.h"
#include "rekey/keyset.h"
#include "rekey/rekey.h"
#include "rekey/verify.h"

namespace rewrap {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kDekLen = 32;
constexpr int kStepsPerDek = 24;      // of W, and as many of W^-1
constexpr std::size_t kLanes = 2048;  // a segment
constexpr std::size_t kBlockLen = 16;
constexpr double kEcbSeconds = 0.5;

struct Settings {
  std::string root_uri;
  std::string directory = ".";
  std::string out;
  std::uint64_t num_deks = 1'000'000;
  std::uint64_t num_in_token_deks = 20'000;
  unsigned num_threads = 2;
  int num_rounds = 5;
};

void must(const Status& status) {
  if (status.ok()) return;
  static_cast<void>(std::fprintf(stderr, "custody_bench: %s\ncustody_bench: hint: %s\n",
                                 status.describe().c_str(), status.hint()));
  std::exit(1);
}
template <typename T>
T must(Result<T> result) {
  must(result.status());
  return std::move(result).value();
}

struct Rates {
  std::vector<double> values;

  void add(double value) { values.push_back(value); }
  [[nodiscard]] double median() const {
    std::vector<double> sorted = values;
    std::sort(sorted.begin(), sorted.end());
    return sorted[sorted.size() / 2];
  }
  // spread is half of the distance between the extremes, of the median.
  [[nodiscard]] double spread() const {
    const auto [low, high] = std::minmax_element(values.begin(), values.end());
    return (*high - *low) / 2 / median();
  }
};

// TokenEcb is the token alone: the calls that a re-wrap makes, and nothing between them.
class TokenEcb {
 public:
  explicit TokenEcb(const std::string& uri) : root_(must(open_root(uri, {}))) {
    const Bytes context(16);
    for (auto* made : {&from_, &to_})
      *made = must(root_->create_in_token(TokenCustody::kKekInToken, 32, context));
  }
  ~TokenEcb() {
    for (auto* made : {&from_, &to_}) {
      made->kek.reset();
      must(root_->destroy(made->protector));
    }
  }
  TokenEcb(const TokenEcb&) = delete;
  TokenEcb& operator=(const TokenEcb&) = delete;

  double deks_per_second() {
    const auto start = Clock::now();
    std::uint64_t num_deks = 0;
    double seconds = 0;
    do {
      for (int i = 0; i < kStepsPerDek; ++i) must(from_.kek->ecb_decrypt(blocks_.expose_secret()));
      for (int i = 0; i < kStepsPerDek; ++i) must(to_.kek->ecb_encrypt(blocks_.expose_secret()));
      num_deks += kLanes;
      seconds = std::chrono::duration<double>(Clock::now() - start).count();
    } while (seconds < kEcbSeconds);
    return static_cast<double>(num_deks) / seconds;
  }

 private:
  std::unique_ptr<Root> root_;
  ProtectedTokenKek from_;
  ProtectedTokenKek to_;
  SecretBuffer blocks_ = must(SecretBuffer::create(kLanes * kBlockLen));
};

// Keysets is a store with one keyset for each custody; gone, with its KEKs, at the end.
class Keysets {
 public:
  explicit Keysets(const Settings& settings)
      : settings_(settings),
        directory_(settings.directory + "/custody_bench." + std::to_string(getpid())) {
    if (mkdir(directory_.c_str(), 0700) != 0)
      must(Status::from_errno(errno, "mkdir", "cannot make the directory"));
    store_ = must(open_store(directory_, OpenMode::kCreate));
    make("kek-in-token", Custody::kKekInToken, settings.num_deks);
    make("in-token", Custody::kInToken, settings.num_in_token_deks);
  }
  ~Keysets() {
    destroy_keks();
    store_.reset();
    for (const char* file : {"/data.mdb", "/lock.mdb", "/keyset-1.lock", "/keyset-2.lock"})
      unlink((directory_ + file).c_str());
    rmdir(directory_.c_str());
  }
  Keysets(const Keysets&) = delete;
  Keysets& operator=(const Keysets&) = delete;

  double rekey_rate(const std::string& name) {
    Keyring keyring({});
    RekeyOptions options;
    options.implementation = implementation_;
    options.num_threads = settings_.num_threads;
    const RekeyReport report = must(rekey(store_.get(), name, &keyring, options));
    return static_cast<double>(report.rewrapped) / report.seconds;
  }

 private:
  void make(const std::string& name, Custody custody, std::uint64_t num_deks) {
    Keyring keyring({});
    NewKeyset request;
    request.name = name;
    request.root_uri = settings_.root_uri;
    request.dek_len = kDekLen;
    request.custody = custody;
    must(create_keyset(store_.get(), request, &keyring));
    must(generate_deks(store_.get(), name, &keyring, num_deks, kDekLen, *implementation_, {}));
  }

  void destroy_keks() {
    auto root = must(open_root(settings_.root_uri, {}));
    auto snapshot = must(store_->snapshot());
    for (const KeysetRecord& keyset : must(list_keysets(store_.get()))) {
      must(
          snapshot->for_each_kek_version(keyset.number, [&](KekVersion, ByteView stored) -> Status {
            REWRAP_ASSIGN(const KekVersionRecord record, decode_kek_version(stored));
            for (const Protector& protector : record.protectors)
              REWRAP_TRY(root->destroy(protector));
            return {};
          }));
    }
  }

  const Settings& settings_;
  std::string directory_;
  const Implementation* implementation_ = must(choose_implementation(""));
  std::unique_ptr<Store> store_;
};

// Measured is one line of the result: a rate, or a ratio of two rates of one round.
struct Measured {
  const char* id;
  const char* what;
  Rates values;
};

void print(const Measured& line) {
  const double median = line.values.median();
  std::printf("%-44s %12.*f  +- %2.0f %%\n", line.what, median < 100 ? 2 : 0, median,
              100 * line.values.spread());
}

void write_json(const Settings& settings, const std::vector<Measured>& lines) {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(settings.out.c_str(), "we"),
                                                             std::fclose);
  if (file == nullptr) must(Status::from_errno(errno, "fopen", "cannot write the result"));
  static_cast<void>(std::fprintf(file.get(), "{\"threads\": %u, \"rounds\": %d, \"deks\": %llu",
                                 settings.num_threads, settings.num_rounds,
                                 static_cast<unsigned long long>(settings.num_deks)));
  for (const Measured& line : lines) {
    static_cast<void>(std::fprintf(file.get(), ",\n \"%s\": {\"median\": %.4f, \"spread\": %.4f}",
                                   line.id, line.values.median(), line.values.spread()));
  }
  static_cast<void>(std::fputs("}\n", file.get()));
}

void run(const Settings& settings) {
  TokenEcb ecb(settings.root_uri);
  Keysets keysets(settings);
  Measured token{"token_ecb", "the token's AES-ECB, 48 blocks a DEK, DEKs/s", {}};
  Measured kek_in_token{"kek_in_token", "rekey in custody kek-in-token, DEKs/s", {}};
  Measured in_token{"in_token", "rekey in custody in-token, DEKs/s", {}};
  Measured of_token{"kek_in_token_of_token_ecb", "kek-in-token over the token's AES-ECB", {}};
  Measured over_in_token{"kek_in_token_over_in_token", "kek-in-token over in-token", {}};
  for (int round = 0; round < settings.num_rounds; ++round) {
    const double token_rate = ecb.deks_per_second();
    const double fast = keysets.rekey_rate("kek-in-token");
    const double slow = keysets.rekey_rate("in-token");
    token.values.add(token_rate);
    kek_in_token.values.add(fast);
    in_token.values.add(slow);
    of_token.values.add(fast / token_rate);
    over_in_token.values.add(fast / slow);
  }
  const std::vector<Measured> lines{token, kek_in_token, in_token, of_token, over_in_token};
  std::printf("%u threads, %d rounds, %llu DEKs\n", settings.num_threads, settings.num_rounds,
              static_cast<unsigned long long>(settings.num_deks));
  for (const Measured& line : lines) print(line);
  if (!settings.out.empty()) write_json(settings, lines);
}

bool read_number(std::string_view text, std::string_view name, std::uint64_t* out) {
  if (!text.starts_with(name)) return false;
  *out = std::strtoull(std::string(text.substr(name.size())).c_str(), nullptr, 10);
  return *out > 0;
}

bool read_word(std::string_view text, std::string_view name, std::string* out) {
  if (!text.starts_with(name)) return false;
  *out = text.substr(name.size());
  return true;
}

bool read_settings(int argc, char** argv, Settings* settings) {
  for (int i = 1; i < argc; ++i) {
    std::uint64_t number = 0;
    if (read_number(argv[i], "--threads=", &number)) {
      settings->num_threads = static_cast<unsigned>(number);
    } else if (read_number(argv[i], "--rounds=", &number)) {
      settings->num_rounds = static_cast<int>(number);
    } else if (!read_number(argv[i], "--deks=", &settings->num_deks) &&
               !read_number(argv[i], "--in-token-deks=", &settings->num_in_token_deks) &&
               !read_word(argv[i], "--root=", &settings->root_uri) &&
               !read_word(argv[i], "--out=", &settings->out) &&
               !read_word(argv[i], "--directory=", &settings->directory)) {
      return false;
    }
  }
  return !settings->root_uri.empty();
}

}  // namespace
}  // namespace rewrap

int main(int argc, char** argv) {
  rewrap::Settings settings;
  if (!rewrap::read_settings(argc, argv, &settings)) {
    static_cast<void>(std::fprintf(
        stderr,
        "usage: custody_bench --root=pkcs11:... [--deks=N] [--in-token-deks=N] [--threads=T] "
        "[--rounds=R] [--directory=DIR] [--out=FILE]\n"));
    return 2;
  }
  rewrap::run(settings);
  return 0;
}
