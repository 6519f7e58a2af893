// The whole table from the service's reasons to ONTAP's codes, as documented for each operation, written
// down a second time: a code that changes by mistake is seen here.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "api/ontap/errors.h"

namespace rewrap::test {
namespace {

using ontap::Operation;

constexpr Operation kGet = Operation::kGet;
constexpr Operation kCreate = Operation::kCreate;
constexpr Operation kModify = Operation::kModify;
constexpr Operation kDelete = Operation::kDelete;
constexpr Operation kInternal = Operation::kRekeyInternal;
constexpr Operation kExternal = Operation::kRekeyExternal;
constexpr Operation kRestore = Operation::kRestore;
constexpr Operation kJob = Operation::kJob;

struct Special {
  std::vector<Operation> operations;
  const char* code;
};
struct ReasonCode {
  Reason reason;
  const char* code;  // HTTP status, slash, ONTAP's code
  std::vector<Special> special = {};
};

// Reasons of the other front ends, and what nobody foresaw, are "unexpected" here.
const char* const kUnexpected = "500/262145";

std::vector<ReasonCode> table() {
  return {
      {Reason::kInvalidInput, "400/262185"},
      {Reason::kNothingToChange, "400/262190", {{{kModify}, "400/65537541"}}},
      {Reason::kEmptySecret, "400/65537920", {{{kCreate}, "400/65537900"}}},
      {Reason::kEmptyAccessKey, "400/65537924"},
      {Reason::kSkipVerifyAlone, "400/262186"},

      {Reason::kNoSuchKeyset, "400/2621462"},
      {Reason::kNoSuchKey, "500/65537538"},
      {Reason::kNoSuchJob, "404/4"},
      {Reason::kNoAwsKms, "404/65537926", {{{kGet}, "404/4"}}},
      {Reason::kNoSuchNode, "404/4"},
      {Reason::kNameTaken, "409/1"},
      {Reason::kAlreadyConfigured, "409/65537910"},

      {Reason::kKeysetEmpty, "409/65537559"},
      {Reason::kRootBlocked,
       "409/65537556",
       {{{kGet}, "500/65537551"}, {{kExternal}, "500/65537538"}, {{kRestore}, "500/65536082"}}},
      {Reason::kDeksInAdminKeyset, "409/65537547", {{{kCreate}, "409/65537912"}}},
      {Reason::kNodeMissing,
       "500/393271",
       {{{kCreate}, "503/65536600"}, {{kInternal}, "503/65537566"}, {{kExternal}, "500/65537919"}}},
      {Reason::kAdminKeyset, "400/65537908"},
      {Reason::kStillInUse, "409/65537106"},
      {Reason::kRefusedByGate, "409/65537106"},
      {Reason::kSwitching, "409/65537610"},
      {Reason::kRekeyRunning, "409/8"},
      {Reason::kNotEnabled, "400/65537907"},

      {Reason::kJobEnded, "409/458762"},
      {Reason::kJobRunning, "409/458771"},
      {Reason::kJobNotRunning, "409/458776"},
      {Reason::kJobCannotPause, "409/458783"},
      {Reason::kJobCannotCancel, "409/458784"},
      {Reason::kInterrupted, "503/65562"},
      {Reason::kJobCancelled, "409/65562"},
      {Reason::kDamagedDeks, "500/65537538", {{{kRestore}, "500/65536082"}}},
      {Reason::kVerifyFailed, "500/65537538"},
      {Reason::kTokenLost,
       "500/65537543",
       {{{kInternal}, "409/65537556"}, {{kRestore}, "500/65536082"}}},

      {Reason::kCredentialsRejected,
       "409/65537556",
       {{{kCreate}, "400/65537900"},
        {{kModify}, "400/65537921"},
        {{kExternal}, "500/65537919"},
        {{kRestore}, "500/65536082"}}},
      {Reason::kRootUnreachable,
       "409/65537556",
       {{{kGet}, "500/65537915"},
        {{kCreate, kModify}, "400/65537921"},
        {{kExternal}, "500/65537919"},
        {{kRestore}, "500/65536082"}}},
      {Reason::kNoServiceKey, "500/65537906"},

      {Reason::kStorageFull, "503/7"},
      {Reason::kTooMany, "429/262160"},
      {Reason::kStorageFailed, "500/65562"},

      {Reason::kNone, kUnexpected},
      {Reason::kOther, kUnexpected},
      {Reason::kInternal, kUnexpected},
      {Reason::kNoSuchProvider, kUnexpected},
      {Reason::kNoSuchServer, kUnexpected},
      {Reason::kNoSuchAccount, kUnexpected},
      {Reason::kProviderActive, kUnexpected},
      {Reason::kProviderHasNoServer, kUnexpected},
      {Reason::kLastServer, kUnexpected},
      {Reason::kServerAssigned, kUnexpected},
      {Reason::kCertificate, kUnexpected},
      {Reason::kNoKeyPair, kUnexpected},
  };
}

std::string shown(const ontap::Error& error) {
  return std::to_string(error.status) + "/" + std::to_string(error.code);
}

std::string expected(const ReasonCode& row, Operation operation) {
  for (const Special& special : row.special) {
    const auto& these = special.operations;
    if (std::find(these.begin(), these.end(), operation) != these.end()) return special.code;
  }
  return row.code;
}

TEST(OntapErrors, EachReasonHasItsCodeInEachOperation) {
  for (const ReasonCode& row : table()) {
    for (const Operation operation :
         {kGet, kCreate, kModify, kDelete, kInternal, kExternal, kRestore, kJob}) {
      const ontap::Error error =
          ontap::error_for(operation, {row.reason, Status(Errc::kRefused, "a cause", "a hint")});
      EXPECT_EQ(shown(error), expected(row, operation))
          << reason_name(row.reason) << " in operation " << static_cast<int>(operation);
      EXPECT_FALSE(error.message.empty());
      // Clients compare the message of code 4, so nothing is added to it; all others say the cause.
      EXPECT_EQ(error.message.find("a cause") == std::string::npos, error.code == 4);
    }
  }
}

TEST(OntapErrors, NoReasonIsForgotten) {
  const std::vector<ReasonCode> rows = table();
  for (int value = 0; value < 256; ++value) {
    const auto reason = static_cast<Reason>(value);
    if (find_reason(reason_name(reason)) != reason) continue;  // not a reason at all
    const auto is_it = [&](const ReasonCode& row) { return row.reason == reason; };
    EXPECT_EQ(std::count_if(rows.begin(), rows.end(), is_it), 1) << reason_name(reason);
  }
}

// A job's error is looked up under the operation that started it.
TEST(OntapErrors, AJobFailsWithTheCodeOfItsOperation) {
  struct JobRow {
    JobKind kind;
    JobState state;
    Reason reason;
    const char* code;
  };
  for (const JobRow& row : {
           JobRow{JobKind::kRekey, JobState::kFailed, Reason::kTokenLost, "409/65537556"},
           JobRow{JobKind::kReprotect, JobState::kFailed, Reason::kTokenLost, "500/65537543"},
           JobRow{JobKind::kRestore, JobState::kFailed, Reason::kTokenLost, "500/65536082"},
           JobRow{JobKind::kRekey, JobState::kIncomplete, Reason::kNone, "500/65537538"},
           JobRow{JobKind::kRestore, JobState::kIncomplete, Reason::kNone, "500/65536082"},
           JobRow{JobKind::kRekey, JobState::kIncomplete, Reason::kRefusedByGate, "409/65537106"},
           JobRow{JobKind::kRekey, JobState::kCancelled, Reason::kNone, "409/65562"},
           JobRow{JobKind::kRekey, JobState::kFailed, Reason::kNone, kUnexpected},
       }) {
    Job job;
    job.kind = row.kind;
    job.state = row.state;
    job.error.reason = row.reason;
    EXPECT_EQ(shown(ontap::job_error_for(job)), row.code);
  }
}

}  // namespace
}  // namespace rewrap::test
