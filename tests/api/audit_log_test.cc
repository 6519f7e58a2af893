// The audit chain: whatever is done to the file afterwards shows, and where.
#include "api/service/audit_log.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <thread>

#include "tests/rekey/fixture.h"

namespace rewrap {
namespace {

class AuditLogTest : public ::testing::TestWithParam<bool> {
 protected:
  static constexpr std::uint64_t kNumEvents = 8;  // besides that of opening

  [[nodiscard]] bool keyed() const { return GetParam(); }
  [[nodiscard]] std::string path() const { return directory_.path() + "/audit.log"; }
  [[nodiscard]] SecretBuffer key() const {
    if (!keyed()) return {};
    return ok_value(SecretBuffer::copy_of(as_bytes("0123456789abcdef0123456789abcdef")));
  }
  [[nodiscard]] Result<std::unique_ptr<AuditLog>> open() const {
    return AuditLog::open(path(), key());
  }
  static AuditEvent event(std::uint64_t number) {
    return {"test", "somebody", "127.0.0.1", "thing " + std::to_string(number), "ok", "", "r-1"};
  }
  void write_log() const {
    const auto log = ok_value(open());
    for (std::uint64_t i = 0; i < kNumEvents; ++i) ASSERT_TRUE(log->append(event(i)).ok());
  }

  [[nodiscard]] std::vector<std::string> lines() const {
    std::ifstream file(path());
    std::vector<std::string> lines;
    for (std::string line; std::getline(file, line);) lines.push_back(line);
    return lines;
  }
  void put_lines(const std::vector<std::string>& lines) const {
    std::ofstream file(path(), std::ios::trunc);
    for (const std::string& line : lines) file << line << '\n';
  }

  [[nodiscard]] AuditReport report() const {
    const SecretBuffer secret = key();
    return ok_value(verify_audit_log(path(), secret.expose_secret()));
  }
  // findings gives "fault line count" of each.
  [[nodiscard]] std::vector<std::string> findings() const {
    std::vector<std::string> texts;
    for (const AuditFinding& finding : report().findings) {
      texts.push_back(std::string(audit_fault_name(finding.fault)) + " " +
                      std::to_string(finding.line) + " " + std::to_string(finding.count));
    }
    return texts;
  }

  TempDirectory directory_;
};
using Texts = std::vector<std::string>;
INSTANTIATE_TEST_SUITE_P(Keys, AuditLogTest, testing::Bool(),
                         [](const auto& test) { return test.param ? "Keyed" : "Plain"; });

TEST_P(AuditLogTest, AWholeLogIsWholeAlsoOverSeveralOpenings) {
  write_log();
  write_log();
  const AuditReport whole = report();
  EXPECT_TRUE(whole.findings.empty());
  EXPECT_EQ(whole.lines, 2 * (kNumEvents + 1));
  EXPECT_EQ(whole.keyed, keyed());
  EXPECT_NE(lines()[1].find(R"("object":"thing 0")"), std::string::npos);
}

TEST_P(AuditLogTest, AChangedLineIsFound) {
  write_log();
  std::vector<std::string> changed = lines();
  const std::size_t at = changed[3].find("somebody");
  changed[3].replace(at, 8, "somebodx");
  put_lines(changed);
  EXPECT_EQ(findings(), Texts{"changed 4 0"});
  changed = lines();
  changed[6] = "nonsense";
  put_lines(changed);
  EXPECT_EQ(findings(), (Texts{"changed 4 0", "not_a_line 7 0"}));
}

TEST_P(AuditLogTest, RemovedLinesAreFoundAndCounted) {
  write_log();
  std::vector<std::string> changed = lines();
  changed.erase(changed.begin() + 2, changed.begin() + 5);
  put_lines(changed);
  EXPECT_EQ(findings(), Texts{"removed 3 3"});
  changed.erase(changed.begin());
  put_lines(changed);
  EXPECT_EQ(findings(), (Texts{"removed 1 1", "removed 2 3"}));
}

TEST_P(AuditLogTest, ReorderedLinesAreFound) {
  write_log();
  std::vector<std::string> changed = lines();
  std::swap(changed[2], changed[3]);
  put_lines(changed);
  EXPECT_EQ(findings(), Texts{"reordered 4 0"});
  changed = lines();
  std::swap(changed[2], changed[3]);
  changed.insert(changed.begin() + 5, changed[1]);  // one line twice
  put_lines(changed);
  EXPECT_EQ(findings(), Texts{"reordered 6 0"});
}

TEST_P(AuditLogTest, ACutEndIsFoundByTheHeadRecord) {
  write_log();
  std::vector<std::string> changed = lines();
  changed.resize(changed.size() - 2);
  put_lines(changed);
  EXPECT_EQ(findings(), Texts{"cut_off 8 2"});
  EXPECT_EQ(open().status().code(), Errc::kCorruption);  // and nothing is appended to it
  put_lines({});
  EXPECT_EQ(findings(), Texts{"cut_off 1 9"});
  // Without the head record the cut would not show: so a missing one is a finding itself.
  put_lines(changed);
  std::filesystem::remove(path() + ".head");
  EXPECT_EQ(findings(), Texts{"no_head 0 0"});
}

// Each byte of each line but its end, and each pair of neighbours.
TEST_P(AuditLogTest, NoByteOfAnyLineIsFree) {
  write_log();
  const std::vector<std::string> own = lines();
  for (std::size_t at = 0; at < own.size(); ++at) {
    for (std::size_t byte = 0; byte < own[at].size(); byte += 7) {
      std::vector<std::string> changed = own;
      changed[at][byte] = static_cast<char>(changed[at][byte] ^ 1);
      put_lines(changed);
      const std::vector<AuditFinding> found = report().findings;
      ASSERT_FALSE(found.empty()) << "line " << at + 1 << ", byte " << byte;
      EXPECT_EQ(found.front().line, at + 1) << "byte " << byte;
    }
    if (at == 0) continue;
    std::vector<std::string> changed = own;
    std::swap(changed[at - 1], changed[at]);
    put_lines(changed);
    EXPECT_FALSE(findings().empty()) << "lines " << at << " and " << at + 1;
  }
  put_lines(own);
  EXPECT_TRUE(findings().empty()) << "control";
}

// A line with a digest of its own that fits: without a key anybody can make one, but the next line
// says otherwise; the last one is held by the head record.
TEST_P(AuditLogTest, ALineWithANewDigestIsFound) {
  write_log();
  TempDirectory elsewhere;
  const std::string other = elsewhere.path() + "/audit.log";
  {
    const auto log = ok_value(AuditLog::open(other, key()));
    for (std::uint64_t i = 0; i < kNumEvents; ++i) ASSERT_TRUE(log->append(event(i + 100)).ok());
  }
  std::ifstream file(other);
  std::vector<std::string> others;
  for (std::string line; std::getline(file, line);) others.push_back(line);
  const std::vector<std::string> own = lines();
  std::vector<std::string> changed = own;
  changed[4] = others[4];
  put_lines(changed);
  EXPECT_FALSE(findings().empty());
  EXPECT_EQ(findings().back(), "changed 5 0");
  changed = own;
  changed.back() = others.back();
  put_lines(changed);
  EXPECT_FALSE(findings().empty());
}

TEST_P(AuditLogTest, AHalfWrittenLineOfACrashIsRepairedAndRecorded) {
  write_log();
  std::ofstream(path(), std::ios::app) << R"({"seq":10,"prev":")";
  const auto log = ok_value(open());
  EXPECT_TRUE(findings().empty());
  EXPECT_NE(lines().back().find("half-written"), std::string::npos);
}

// Also one that is longer than what is written in its place.
TEST_P(AuditLogTest, NothingOfAHalfWrittenLineIsLeft) {
  write_log();
  std::ofstream(path(), std::ios::app) << R"({"seq":10,"prev":")" << std::string(2000, '0');
  ok_value(open()).reset();
  EXPECT_TRUE(findings().empty());
  EXPECT_EQ(lines().size(), kNumEvents + 2);
}

// A crash between the line and its head record: the line is whole, and is taken up.
TEST_P(AuditLogTest, ALineThatTheHeadDoesNotKnowYetIsTakenUp) {
  write_log();
  std::stringstream head;
  head << std::ifstream(path() + ".head").rdbuf();
  { ASSERT_TRUE(ok_value(open())->append(event(50)).ok()); }
  // One record of the two is older by one: put that one in the place of both.
  const std::string records = head.str();
  ASSERT_EQ(records.size() % 2, 0U);
  const std::string first = records.substr(0, records.size() / 2);
  const std::string second = records.substr(records.size() / 2);
  const std::string newest = std::max(first, second);  // numbers come first, with leading zeros
  std::ofstream(path() + ".head", std::ios::trunc) << newest << newest;
  EXPECT_TRUE(findings().empty());
  EXPECT_TRUE(open().ok());
  EXPECT_TRUE(findings().empty());
}

TEST_P(AuditLogTest, OneWriterAtATimeAndPrivateFiles) {
  const auto log = ok_value(open());
  EXPECT_EQ(open().status().code(), Errc::kConflict);
  for (const std::string& name : {path(), path() + ".head"}) {
    EXPECT_EQ(std::filesystem::status(name).permissions(),
              std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
  }
}

TEST_P(AuditLogTest, WhateverIsInAFieldStaysOneLineOfJson) {
  {
    const auto log = ok_value(open());
    AuditEvent bad = event(0);
    bad.user = "a\"b\\c\nd\x01 \xff\xc3\xa9 \xed\xa0\x80";
    bad.detail = std::string(5000, 'x');
    ASSERT_TRUE(log->append(bad).ok());
  }
  EXPECT_TRUE(findings().empty());
  ASSERT_EQ(lines().size(), 2U);
  EXPECT_NE(lines()[1].find(R"(a\"b\\c\u000ad\u0001 \ufffd)"
                            "\xc3\xa9"
                            R"( \ufffd\ufffd\ufffd)"),
            std::string::npos)
      << lines()[1];
  EXPECT_LT(lines()[1].size(), 2000U);
}

TEST(AuditLogKey, AnotherKeyOrNoneDoesNotVerify) {
  const TempDirectory directory;
  const std::string path = directory.path() + "/audit.log";
  const std::string key(32, 'k');
  ok_value(AuditLog::open(path, ok_value(SecretBuffer::copy_of(as_bytes(key))))).reset();
  EXPECT_TRUE(ok_value(verify_audit_log(path, as_bytes(key))).findings.empty());
  EXPECT_FALSE(ok_value(verify_audit_log(path, as_bytes(std::string(32, 'x')))).findings.empty());
  EXPECT_EQ(verify_audit_log(path, {}).status().code(), Errc::kInvalidArgument);
  // A log without a key is not taken for a keyed one.
  const std::string plain = directory.path() + "/plain.log";
  ok_value(AuditLog::open(plain, {})).reset();
  EXPECT_TRUE(ok_value(verify_audit_log(plain, {})).findings.empty());
  EXPECT_FALSE(ok_value(verify_audit_log(plain, as_bytes(key))).findings.empty());
}

TEST(AuditLogThreads, EventsOfManyThreadsMakeOneChain) {
  const TempDirectory directory;
  const std::string path = directory.path() + "/audit.log";
  const auto log = ok_value(AuditLog::open(path, {}));
  std::vector<std::jthread> threads;
  for (int thread = 0; thread < 4; ++thread) {
    threads.emplace_back([&] {
      for (int i = 0; i < 25; ++i)
        EXPECT_TRUE(log->append({"t", "u", "o", "x", "ok", "", ""}).ok());
    });
  }
  threads.clear();
  const AuditReport report = ok_value(verify_audit_log(path, {}));
  EXPECT_EQ(report.lines, 101U);
  EXPECT_TRUE(report.findings.empty());
}

}  // namespace
}  // namespace rewrap
