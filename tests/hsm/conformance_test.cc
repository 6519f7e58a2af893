// What every root has to do, whatever it is made of: the same questions to each of them.
#include <dirent.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <functional>
#include <sstream>
#include <thread>
#include <vector>

#include "tests/hsm/conformance_root.h"
#include "tests/hsm/expect_code.h"

namespace rewrap {
namespace {

Bytes copy_of(const SecretBuffer& secret) {
  const ByteView bytes = secret.expose_secret();
  return {bytes.begin(), bytes.end()};
}

// flip changes one bit of the byte at `i`, another bit for each byte.
void flip(Bytes* bytes, std::size_t i) {
  (*bytes)[i] = static_cast<std::uint8_t>((*bytes)[i] ^ (1U << (i % 8)));
}

class Conformance : public testing::TestWithParam<test::Candidate> {
 protected:
  void SetUp() override {
    candidate_ = GetParam().make();
    ASSERT_NE(candidate_, nullptr);
    ASSERT_OK(candidate_->make());
  }

  [[nodiscard]] std::unique_ptr<Root> open_it() const { return open_at(candidate_->uri()); }

  [[nodiscard]] std::unique_ptr<Root> open_at(const std::string& uri) const {
    auto root = open_root(uri, candidate_->options());
    EXPECT_OK(root);
    return std::move(root).value();  // throws, which ends the test, if there is none
  }

  std::unique_ptr<test::RootUnderTest> candidate_;
  const Bytes context_ = {'k', 'e', 'y', 's', 'e', 't', 0, 1};
};

TEST_P(Conformance, GivesBackWhatItMade) {
  for (const std::size_t len : {16U, 24U, 32U}) {
    Bytes stored;
    Bytes kek;
    {
      const auto root = open_it();
      const auto made = root->create(len, context_);
      ASSERT_OK(made);
      EXPECT_EQ(made->protector.mechanism, candidate_->mechanism());
      EXPECT_EQ(made->protector.root_uri, candidate_->uri());
      kek = copy_of(made->kek);
      EXPECT_EQ(kek.size(), len);
      EXPECT_NE(kek, copy_of(root->create(len, context_).value().kek));
      stored = encode_protector(made->protector);
    }
    const auto protector = decode_protector(stored);
    ASSERT_OK(protector);
    const auto opened = open_it()->open(protector.value(), context_);
    ASSERT_OK(opened);
    EXPECT_EQ(copy_of(opened.value()), kek);
  }
}

TEST_P(Conformance, ProtectsAKekThatExists) {
  for (const std::size_t len : {16U, 24U, 32U}) {
    Bytes value(len);
    for (std::size_t i = 0; i < len; ++i) value[i] = static_cast<std::uint8_t>(i * 7 + len);
    const auto kek = SecretBuffer::copy_of(value);
    ASSERT_OK(kek);
    const auto protector = open_it()->protect(kek.value(), context_);
    ASSERT_OK(protector);
    EXPECT_EQ(protector->mechanism, candidate_->mechanism());
    const auto root = open_it();
    const auto opened = root->open(protector.value(), context_);
    ASSERT_OK(opened);
    EXPECT_EQ(copy_of(opened.value()), value);
    EXPECT_CODE(root->open(protector.value(), as_bytes("another")), Errc::kCorruption);
  }
  // One KEK twice: what is random must not repeat, least of all an IV under the same key.
  if (candidate_->mechanism() != Mechanism::kAesKeyWrap) {
    const auto kek = SecretBuffer::copy_of(Bytes(32, 9));
    ASSERT_OK(kek);
    const Bytes one = open_it()->protect(kek.value(), context_).value().blob;
    const Bytes two = open_it()->protect(kek.value(), context_).value().blob;
    EXPECT_NE(one, two);
    const bool is_gcm = candidate_->mechanism() == Mechanism::kAesGcm;
    EXPECT_FALSE(is_gcm && std::equal(one.begin(), one.begin() + 12, two.begin()));
  }
  for (const std::size_t len : {1U, 8U, 17U, 33U, 64U}) {
    const auto odd = SecretBuffer::create(len);
    ASSERT_OK(odd);
    EXPECT_CODE(open_it()->protect(odd.value(), context_), Errc::kInvalidArgument) << len;
    EXPECT_CODE(open_it()->create(len, context_), Errc::kInvalidArgument) << len;
  }
}

TEST_P(Conformance, WrongAuthIsTriedExactlyOnce) {
  const auto made = open_it()->create(32, context_);
  ASSERT_OK(made);
  const std::string uri = candidate_->wrong_auth_uri();
  ASSERT_FALSE(uri.empty());
  {
    // Tokens ask at once, TPMs with each KEK.
    const auto root = open_root(uri, candidate_->options());
    const Status refused =
        root.ok() ? root.value()->open(made->protector, context_).status() : root.status();
    EXPECT_CODE(refused, Errc::kDenied);
  }
  EXPECT_EQ(candidate_->num_auth_tries(), candidate_->tries_of_a_wrong_one());
  ASSERT_OK(candidate_->mend_auth());
  EXPECT_OK(open_it()->open(made->protector, context_));  // control: the right one still opens it
}

TEST_P(Conformance, DeletedRootKeyIsNotFound) {
  EXPECT_NE(open_it(), nullptr);
  ASSERT_OK(candidate_->delete_root_key());
  const auto root = open_root(candidate_->uri(), candidate_->options());
  EXPECT_CODE(root, Errc::kNotFound);
  EXPECT_NE(std::string(root.status().hint()), "");
}

TEST_P(Conformance, AnotherKeyUnderTheSameNameIsDenied) {
  const auto made = open_it()->create(32, context_);
  ASSERT_OK(made);
  ASSERT_OK(candidate_->replace_root_key());
  const auto root = open_it();
  EXPECT_CODE(root->open(made->protector, context_), Errc::kDenied);
  EXPECT_OK(root->open(root->create(32, context_).value().protector, context_));  // control
}

TEST_P(Conformance, ProtectorOfAnotherRootIsDenied) {
  const auto other = candidate_->make_other();
  ASSERT_OK(other);
  const auto made = open_at(other.value())->create(32, context_);
  ASSERT_OK(made);
  EXPECT_CODE(open_it()->open(made->protector, context_), Errc::kDenied);
  if (candidate_->has_canary()) {
    // With the canary of this root the blob is what is wrong.
    Protector mixed = made->protector;
    mixed.canary = open_it()->create(32, context_).value().protector.canary;
    EXPECT_CODE(open_it()->open(mixed, context_), Errc::kCorruption);
  }
  EXPECT_OK(open_at(other.value())->open(made->protector, context_));  // control
}

TEST_P(Conformance, EveryDamagedByteOfTheBlobIsCorruption) {
  const auto root = open_it();
  const auto made = root->create(32, context_);
  ASSERT_OK(made);
  for (std::size_t i = 0; i < made->protector.blob.size(); ++i) {
    Protector damaged = made->protector;
    flip(&damaged.blob, i);
    EXPECT_CODE(root->open(damaged, context_), Errc::kCorruption) << i;
  }
  EXPECT_OK(root->open(made->protector, context_));  // control, and the root still works
}

TEST_P(Conformance, EveryDamagedByteOfTheCanaryCostsOnlyTheDiagnosis) {
  const auto root = open_it();
  const auto made = root->create(32, context_);
  ASSERT_OK(made);
  EXPECT_EQ(made->protector.canary.empty(), !candidate_->has_canary());
  Protector broken = made->protector;
  flip(&broken.blob, broken.blob.size() / 2);
  EXPECT_CODE(root->open(broken, context_), Errc::kCorruption);  // control
  for (std::size_t i = 0; i < broken.canary.size(); ++i) {
    Protector damaged = broken;
    flip(&damaged.canary, i);
    EXPECT_CODE(root->open(damaged, context_), Errc::kDenied) << i;
  }
  Protector without = made->protector;
  without.canary.clear();
  EXPECT_OK(root->open(without, context_));
}

TEST_P(Conformance, BlobsOfOddLengthsAreCorruption) {
  const auto root = open_it();
  const auto made = root->create(32, context_);
  ASSERT_OK(made);
  const std::size_t len = made->protector.blob.size();
  for (const std::size_t odd :
       {std::size_t{0}, std::size_t{1}, std::size_t{8}, std::size_t{12}, std::size_t{24},
        std::size_t{28}, len - 8, len - 1, len + 1, len + 8, kMaxBlobLen}) {
    Protector damaged = made->protector;
    damaged.blob.resize(odd);
    EXPECT_CODE(root->open(damaged, context_), Errc::kCorruption) << odd;
  }
}

// Blob and canary have tests of their own; here is all the rest of what is stored.
TEST_P(Conformance, EveryDamagedByteOfTheRecordIsFoundOrHarmless) {
  const auto root = open_it();
  const auto made = root->create(32, context_);
  ASSERT_OK(made);
  const Bytes stored = encode_protector(made->protector);
  std::size_t num_found = 0;
  for (std::size_t i = 0; i < stored.size(); ++i) {
    Bytes changed = stored;
    flip(&changed, i);
    const auto damaged = decode_protector(changed);
    if (damaged.ok() &&
        (damaged->blob != made->protector.blob || damaged->canary != made->protector.canary)) {
      continue;
    }
    // One bit in eight of the URI will do: those open, and a TPM takes its time.
    if (damaged.ok() && damaged->root_uri != made->protector.root_uri && i % 8 != 0) continue;
    const auto opened = damaged.ok() ? root->open(damaged.value(), context_)
                                     : Result<SecretBuffer>(damaged.status());
    if (opened.ok()) {
      // The URI is not bound: it says where to look, and may be changed by the operator.
      EXPECT_EQ(copy_of(opened.value()), copy_of(made->kek)) << i;
      EXPECT_NE(damaged->root_uri, made->protector.root_uri) << i;
      continue;
    }
    ++num_found;
    const Errc code = opened.status().code();
    EXPECT_TRUE(code == Errc::kCorruption || code == Errc::kUnsupported)
        << i << ": " << test::words_of(opened.status());
  }
  EXPECT_GT(num_found, std::size_t{30});
}

TEST_P(Conformance, ContextsAndBlobsCannotBeSwapped) {
  const auto root = open_it();
  const Bytes a = {1};
  const Bytes b = {2};
  const auto one = root->create(32, a);
  const auto two = root->create(32, b);
  ASSERT_OK(one);
  ASSERT_OK(two);
  EXPECT_CODE(root->open(one->protector, b), Errc::kCorruption);
  EXPECT_CODE(root->open(two->protector, a), Errc::kCorruption);
  EXPECT_CODE(root->open(one->protector, {}), Errc::kCorruption);
  Protector mixed = one->protector;
  mixed.blob = two->protector.blob;
  EXPECT_CODE(root->open(mixed, a), Errc::kCorruption);
  mixed.check = two->protector.check;
  EXPECT_CODE(root->open(mixed, a), Errc::kCorruption);
  Protector canary = one->protector;  // a canary is no KEK
  canary.blob = canary.canary;
  EXPECT_CODE(root->open(canary, a), Errc::kCorruption);
  EXPECT_OK(root->open(one->protector, a));  // controls
  EXPECT_OK(root->open(two->protector, b));
}

TEST_P(Conformance, TwoThreadsEachWithARootOfItsOwn) {
  const auto work = [this](std::string* problem) {
    auto root = open_root(candidate_->uri(), candidate_->options());
    for (int i = 0; i < 10 && problem->empty(); ++i) {
      if (!root.ok()) *problem = root.status().describe();
      if (!root.ok()) return;
      const auto made = root.value()->create(32, context_);
      if (!made.ok()) *problem = made.status().describe();
      if (!made.ok()) return;
      const auto opened = root.value()->open(made->protector, context_);
      if (!opened.ok()) *problem = opened.status().describe();
      if (opened.ok() && copy_of(opened.value()) != copy_of(made->kek)) *problem = "another KEK";
    }
  };
  std::string problems[2];
  std::thread other(work, &problems[1]);
  work(&problems[0]);
  other.join();
  EXPECT_EQ(problems[0], "");
  EXPECT_EQ(problems[1], "");
}

// in_child runs `body` in a forked child that ends at once after it, closing nothing.
bool in_child(const std::function<bool()>& body) {
  const pid_t child = fork();
  if (child == 0) _exit(body() ? 0 : 1);
  int status = -1;
  waitpid(child, &status, 0);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

TEST_P(Conformance, ForkedChildIsRefused) {
  auto root = open_it();
  const auto made = root->create(32, context_);
  ASSERT_OK(made);
  const auto kek = SecretBuffer::create(32);
  ASSERT_OK(kek);
  EXPECT_TRUE(in_child([&] {
    Bytes random(16);
    const auto refused = [](const Status& status) { return status.code() == Errc::kUnavailable; };
    return refused(root->create(32, context_).status()) &&
           refused(root->open(made->protector, context_).status()) &&
           refused(root->protect(kek.value(), context_).status()) &&
           refused(root->random(random)) && refused(root->probe().status());
  }));
  EXPECT_TRUE(in_child([&] {
    root.reset();
    return true;
  }));
  EXPECT_OK(root->open(made->protector, context_));  // the parent's root is as it was
}

TEST_P(Conformance, ExitWithoutCloseHurtsNobody) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  EXPECT_TRUE(in_child([&] {
    auto root = open_root(candidate_->uri(), candidate_->options());
    if (!root.ok()) return false;
    const auto made = root.value()->create(32, context_);
    if (!made.ok()) return false;
    const Bytes stored = encode_protector(made->protector);
    return write(ends[1], stored.data(), stored.size()) == static_cast<ssize_t>(stored.size());
  }));
  close(ends[1]);
  Bytes stored(4096);
  const ssize_t len = read(ends[0], stored.data(), stored.size());
  close(ends[0]);
  ASSERT_GT(len, 0);
  stored.resize(static_cast<std::size_t>(len));
  const auto protector = decode_protector(stored);
  ASSERT_OK(protector);
  EXPECT_OK(open_it()->open(protector.value(), context_));
  EXPECT_OK(open_it()->create(32, context_));
}

// Holdings is what a process and its roots hold at one moment.
struct Holdings {
  std::size_t descriptors = 0;
  std::size_t secret_kib = 0;  // memory locked or taken from memfd_secret
  std::size_t at_the_root = 0;
  bool operator==(const Holdings&) const = default;
};

std::ostream& operator<<(std::ostream& out, const Holdings& holdings) {
  return out << holdings.descriptors << " descriptors, " << holdings.secret_kib
             << " KiB secret memory, " << holdings.at_the_root << " sessions and objects";
}

std::size_t num_descriptors() {
  std::size_t num = 0;
  DIR* folder = opendir("/proc/self/fd");
  while (folder != nullptr && readdir(folder) != nullptr) ++num;  // NOLINT(concurrency-mt-unsafe)
  if (folder != nullptr) closedir(folder);
  return num;
}

std::size_t secret_kib() {
  std::size_t kib = 0;
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    if (line.find("secretmem") == std::string::npos) continue;
    std::size_t from = 0;
    std::size_t to = 0;
    char dash = 0;
    std::istringstream(line) >> std::hex >> from >> dash >> to;
    kib += (to - from) / 1024;
  }
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.rfind("VmLck:", 0) == 0) kib += std::stoul(line.substr(6));
  }
  return kib;
}

TEST_P(Conformance, NothingIsLeftBehindByManyCycles) {
  const std::string uri = candidate_->counted_uri();
  const auto witness = open_at(uri);  // keeps the module and the login, so that sessions add up
  const auto made = witness->create(32, context_);
  ASSERT_OK(made);
  const auto cycle = [&] {
    const auto root = open_root(uri, candidate_->options());
    return root.ok() && root.value()->open(made->protector, context_).ok();
  };
  const auto look = [&] {
    Holdings holdings;
    const auto held = candidate_->num_held();
    EXPECT_OK(held);
    holdings.at_the_root = held.ok() ? held.value() : 0;
    holdings.descriptors = num_descriptors();
    holdings.secret_kib = secret_kib();
    return holdings;
  };
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(cycle());
  const Holdings before = look();
  EXPECT_GT(before.secret_kib, std::size_t{0});  // it counts something
  for (int i = 0; i < candidate_->num_cycles(); ++i) ASSERT_TRUE(cycle()) << i;
  EXPECT_EQ(before, look());
}

TEST_P(Conformance, NothingIsLeftBehindByLoadingAndLogin) {
  Protector protector;
  {
    const auto root = open_it();
    const auto made = root->create(32, context_);
    ASSERT_OK(made);
    protector = made->protector;
  }
  const auto cycle = [&] {
    const auto root = open_root(candidate_->uri(), candidate_->options());
    return root.ok() && root.value()->open(protector, context_).ok();
  };
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(cycle());
  const Holdings before = {.descriptors = num_descriptors(), .secret_kib = secret_kib()};
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(cycle()) << i;
  const Holdings after = {.descriptors = num_descriptors(), .secret_kib = secret_kib()};
  EXPECT_EQ(before, after);
}

TEST_P(Conformance, ProbeAgreesWithWhatTheRootDoes) {
  const auto root = open_root_for_probe(candidate_->uri(), candidate_->options());
  ASSERT_OK(root);
  const auto report = root.value()->probe();
  ASSERT_OK(report);
  EXPECT_EQ(report->chosen, candidate_->mechanism());
  ASSERT_EQ(report->custody.size(), std::size_t{3});
  EXPECT_EQ(report->custody[0].name, "host");
  EXPECT_TRUE(report->custody[0].works) << report->custody[0].detail;
  bool chosen_works = false;
  for (const Capability& protector : report->protectors)
    chosen_works |= protector.name == mechanism_name(*report->chosen) && protector.works;
  EXPECT_TRUE(chosen_works);
  EXPECT_OK(root.value()->create(32, context_));  // the root still works after it
}

INSTANTIATE_TEST_SUITE_P(Roots, Conformance, testing::ValuesIn(test::kCandidates),
                         [](const auto& candidate) { return std::string(candidate.param.name); });

}  // namespace
}  // namespace rewrap
