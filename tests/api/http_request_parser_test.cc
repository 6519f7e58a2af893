// Framing: good requests, refused ones, limits to the byte, and the same outcome however the bytes are
// cut.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "api/http/request_parser.h"

namespace rewrap {
namespace {

using Progress = RequestParser::Progress;

HttpLimits small_limits() {
  HttpLimits limits;
  limits.header_len = 1024;
  limits.target_len = 256;
  limits.num_headers = 10;
  limits.body_len = 4096;
  return limits;
}

std::string text_of(const HttpRequest& request, bool keep_alive) {
  std::string text = request.method + " " + request.path + " ";
  for (const HttpHeader& header : request.headers) text += header.name + ":" + header.value + ",";
  return text + " [" + std::string(request.body) + "]" + (keep_alive ? "" : " close");
}

// outcomes feeds `bytes` in pieces and gives what came out: requests, and "400" if it ended badly.
std::vector<std::string> outcomes(const std::string& bytes,
                                  const std::function<std::size_t()>& next_piece,
                                  const HttpLimits& limits = small_limits()) {
  RequestParser parser(limits);
  std::vector<std::string> out;
  std::size_t at = 0;
  for (;;) {
    switch (parser.parse()) {
      case Progress::kNeedMore: {
        if (at == bytes.size()) return out;
        const std::span<char> room = parser.room();
        EXPECT_FALSE(room.empty());
        const std::size_t len = std::min({room.size(), next_piece(), bytes.size() - at});
        std::memcpy(room.data(), bytes.data() + at, len);
        parser.commit(len);
        at += len;
        break;
      }
      case Progress::kHeader:
        EXPECT_LE(parser.max_body_len(), limits.body_len);
        break;
      case Progress::kDone: {
        const auto request = parser.take();
        EXPECT_LE(request->body.size(), limits.body_len);
        out.push_back(text_of(*request, parser.keep_alive()));
        parser.next();
        break;
      }
      case Progress::kBad:
        out.push_back(std::to_string(parser.status()) + " " + parser.method() + " " +
                      parser.path());
        return out;
    }
  }
}

std::size_t all_at_once() { return SIZE_MAX; }
std::size_t byte_by_byte() { return 1; }

// outcome is the only one, the same in one piece and byte by byte.
std::string outcome(const std::string& bytes, const HttpLimits& limits = small_limits()) {
  const auto whole = outcomes(bytes, all_at_once, limits);
  EXPECT_EQ(whole, outcomes(bytes, byte_by_byte, limits)) << bytes;
  EXPECT_LE(whole.size(), 1U) << bytes;
  return whole.empty() ? "" : whole.front();
}

std::string get(const std::string& headers) {
  return "GET /x HTTP/1.1\r\nHost: h\r\n" + headers + "\r\n";
}
std::string post(const std::string& headers, const std::string& rest = "") {
  return "POST /x HTTP/1.1\r\nHost: h\r\n" + headers + "\r\n" + rest;
}

TEST(HttpRequestParser, ReadsRequests) {
  EXPECT_EQ(outcome("GET / HTTP/1.1\r\nHost: h\r\n\r\n"), "GET / Host:h, []");
  EXPECT_EQ(outcome("GET / HTTP/1.0\r\n\r\n"), "GET /  [] close");
  EXPECT_EQ(outcome("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"),
            "GET / Connection:keep-alive, []");
  EXPECT_EQ(outcome(get("connection: Close\r\n")), "GET /x Host:h,connection:Close, [] close");
  EXPECT_EQ(outcome(post("Content-Length: 3\r\n", "abc")),
            "POST /x Host:h,Content-Length:3, [abc]");
  EXPECT_EQ(outcome(post("Content-Length: 0\r\n")), "POST /x Host:h,Content-Length:0, []");
  EXPECT_EQ(outcome(post("")), "POST /x Host:h, []");
  EXPECT_EQ(outcome("GET http://h:1/x HTTP/1.1\r\nHost: other\r\n\r\n"), "GET /x Host:other, []");
  EXPECT_EQ(outcome("OPTIONS * HTTP/1.1\r\nHost:\r\n\r\n"), "OPTIONS * Host:, []");
}

TEST(HttpRequestParser, JoinsChunksAndDropsTheirTrailers) {
  const std::string chunked = "Transfer-Encoding: chunked\r\n";
  const std::string head = "POST /x Host:h,Transfer-Encoding:chunked, ";
  EXPECT_EQ(outcome(post(chunked, "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")), head + "[abcde]");
  EXPECT_EQ(outcome(post(chunked, "0\r\n\r\n")), head + "[]");
  EXPECT_EQ(outcome(post(chunked, "A;x=\"y\"\r\n0123456789\r\n0\r\n\r\n")), head + "[0123456789]");
  // A trailer is no header: it came after the checks.
  EXPECT_EQ(outcome(post(chunked, "1\r\na\r\n0\r\nAuthorization: Basic x\r\nHost: y\r\n\r\n")),
            head + "[a]");
}

TEST(HttpRequestParser, ReadsPipelinedRequestsInOrder) {
  const std::string bytes = "\r\n" + get("") + post("Content-Length: 2\r\n", "hi") + "\r\n\r\n" +
                            post("Transfer-Encoding: chunked\r\n", "1\r\nx\r\n0\r\n\r\n") + get("");
  const std::vector<std::string> expected = {
      "GET /x Host:h, []", "POST /x Host:h,Content-Length:2, [hi]",
      "POST /x Host:h,Transfer-Encoding:chunked, [x]", "GET /x Host:h, []"};
  EXPECT_EQ(outcomes(bytes, all_at_once), expected);
  EXPECT_EQ(outcomes(bytes, byte_by_byte), expected);
}

// Each of these is read as different requests by different servers (RFC 9112 section 11.2).
TEST(HttpRequestParser, RefusesWhatCouldSmuggleARequest) {
  const std::string length = "Content-Length: 3\r\n";
  const std::string chunked = "Transfer-Encoding: chunked\r\n";
  for (const std::string& bytes : {
           post(length + chunked, "0\r\n\r\n"),
           post(chunked + length, "0\r\n\r\n"),
           post(length + length, "abc"),
           post("Content-Length: 3, 3\r\n", "abc"),
           post("Content-Length: +3\r\n", "abc"),
           post("Content-Length: -1\r\n"),
           post("Content-Length: 0x3\r\n", "abc"),
           post("Content-Length:\r\n"),
           post("Content-Length: 99999999999999999999999\r\n"),
           post("Content-Length : 3\r\n", "abc"),
           post(chunked + chunked, "0\r\n\r\n"),
           post("Transfer-Encoding: chunked\r\n Content-Length: 3\r\n", "0\r\n\r\n"),
           "POST /x HTTP/1.0\r\n" + chunked + "\r\n0\r\n\r\n",
           post(chunked, "3 \r\nabc\r\n0\r\n\r\n"),
           post(chunked, "-1\r\n"),
           post(chunked, "\r\n"),
           post(chunked, "g\r\n"),
           post(chunked, "3\r\nabcd\r\n0\r\n\r\n"),
           post(chunked, "3\nabc\r\n0\r\n\r\n"),
           post(chunked, "ffffffffffffffffff\r\na"),
           get("Host: other\r\n"),
           get("\tX: folded\r\n"),
           std::string("GET /x HTTP/1.1\nHost: h\n\n"),
           get("X: a\nY: b\r\n"),
           get("X: a\rY: b\r\n"),
           get(std::string("X: a\0b\r\n", 8)),
           get("X\x01: a\r\n"),
           get(": a\r\n"),
           get("novalue\r\n"),
           std::string("GET  /x HTTP/1.1\r\nHost: h\r\n\r\n"),
           std::string("GET /x  HTTP/1.1\r\nHost: h\r\n\r\n"),
           std::string(" GET /x HTTP/1.1\r\nHost: h\r\n\r\n"),
           std::string("GET /x HTTP/1.1\r\n Host: h\r\n\r\n"),
           std::string("GET /x HTTP/1.1\r\n\r\n"),
           std::string("GET /x\r\n\r\n"),
           std::string("\r\n\r\n\r\n\r\n\r\n\r\n"),
           get("Host: a b\r\n"),
           std::string("GET /x HTTP/1.1\r\nHost: a/b\r\n\r\n"),
           std::string("GET http://a@b/x HTTP/1.1\r\nHost: h\r\n\r\n"),
           get("Authorization: a\r\nauthorization: b\r\n"),
           post("Content-Type: a\r\nContent-Type: b\r\n"),
       }) {
    const std::string got = outcome(bytes);
    const bool refused = got.starts_with("400 ") || got.starts_with("413 ");
    // A folded line may be joined instead (RFC 9112 section 5.2): one request, one reading.
    const bool folded = bytes.find("folded") != std::string::npos ||
                        bytes.find("\r\n Content-Length") != std::string::npos;
    EXPECT_TRUE(refused || folded) << bytes << " gave " << got;
  }
}

TEST(HttpRequestParser, SaysWhatItDoesNotDo) {
  EXPECT_EQ(outcome("BREW /x HTTP/1.1\r\nHost: h\r\n\r\n"), "501 BREW /x");
  EXPECT_EQ(outcome("get /x HTTP/1.1\r\nHost: h\r\n\r\n"), "501 get /x");
  EXPECT_EQ(outcome("TRACE /x HTTP/1.1\r\nHost: h\r\n\r\n"), "405 TRACE /x");
  EXPECT_EQ(outcome("CONNECT h:443 HTTP/1.1\r\nHost: h\r\n\r\n"), "405 CONNECT ");
  EXPECT_EQ(outcome("GET /x HTTP/2.0\r\nHost: h\r\n\r\n"), "505 GET /x");
  EXPECT_EQ(outcome("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), "505  ");
  EXPECT_EQ(outcome("GET /x HTTP/0.9\r\n\r\n"), "505 GET /x");
  EXPECT_EQ(outcome("GET /x FTP/1.1\r\nHost: h\r\n\r\n").substr(0, 3), "400");
  EXPECT_EQ(outcome(post("Transfer-Encoding: gzip, chunked\r\n")), "501 POST /x");
  EXPECT_EQ(outcome(get("Expect: the-inquisition\r\n")), "417 GET /x");
}

TEST(HttpRequestParser, HasLimitsToTheByte) {
  const HttpLimits limits = small_limits();
  const std::string start = "GET /x HTTP/1.1\r\nHost: h\r\nX: ";
  const std::size_t room = limits.header_len - start.size() - 4;
  EXPECT_TRUE(outcome(start + std::string(room, 'a') + "\r\n\r\n").starts_with("GET /x"));
  EXPECT_EQ(outcome(start + std::string(room + 1, 'a') + "\r\n\r\n"), "431 GET /x");
  EXPECT_EQ(outcome(start + std::string(1'000'000, 'a')), "431 GET /x");

  const auto with_target = [](std::size_t len) {
    return "GET /" + std::string(len - 1, 'a') + " HTTP/1.1\r\nHost: h\r\n\r\n";
  };
  EXPECT_TRUE(outcome(with_target(256)).starts_with("GET /a"));
  EXPECT_TRUE(outcome(with_target(257)).starts_with("414"));
  EXPECT_TRUE(outcome(with_target(5000)).starts_with("414"));

  std::string fields;
  for (int i = 0; i < 9; ++i) fields += "a: b\r\n";
  EXPECT_TRUE(outcome(get(fields)).starts_with("GET /x"));
  EXPECT_EQ(outcome(get(fields + "a: b\r\n")), "431 GET /x");
  EXPECT_EQ(outcome(get(fields + fields + fields)), "431 GET /x");

  EXPECT_TRUE(
      outcome(post("Content-Length: 4096\r\n", std::string(4096, 'x'))).starts_with("POST"));
  EXPECT_EQ(outcome(post("Content-Length: 4097\r\n")), "413 POST /x");
  EXPECT_EQ(outcome(post("Content-Length: 18446744073709551615\r\n")), "413 POST /x");
}

TEST(HttpRequestParser, HasLimitsForChunks) {
  const std::string chunked = "Transfer-Encoding: chunked\r\n";
  const std::string full = "800\r\n" + std::string(0x800, 'x') + "\r\n";
  EXPECT_TRUE(outcome(post(chunked, full + full + "0\r\n\r\n")).starts_with("POST /x"));
  EXPECT_EQ(outcome(post(chunked, full + full + "1\r\nx\r\n0\r\n\r\n")), "413 POST /x");
  EXPECT_EQ(outcome(post(chunked, "7fffffffffffffff\r\n")), "413 POST /x");
  // An extension, or trailers, of any length.
  EXPECT_EQ(outcome(post(chunked, "1;" + std::string(5000, 'x'))), "431 POST /x");
  std::string trailers;
  while (trailers.size() < 5000) trailers += "a: b\r\n";
  EXPECT_EQ(outcome(post(chunked, "0\r\n" + trailers)), "431 POST /x");
  // One byte of body in each of endlessly many kilobytes.
  std::string endless;
  while (endless.size() < 100'000) endless += "1;" + std::string(900, 'x') + "\r\nx\r\n";
  EXPECT_EQ(outcome(post(chunked, endless)), "400 POST /x");
}

TEST(HttpRequestParser, TellsWhenTheClientWaitsForContinue) {
  const HttpLimits limits = small_limits();
  const auto expects = [&](const std::string& bytes) {
    RequestParser parser(limits);
    const std::span<char> room = parser.room();
    std::memcpy(room.data(), bytes.data(), bytes.size());
    parser.commit(bytes.size());
    EXPECT_EQ(parser.parse(), Progress::kHeader);
    return parser.expects_continue();
  };
  const std::string wanted = "Content-Length: 3\r\nExpect: 100-Continue\r\n";
  EXPECT_TRUE(expects(post(wanted)));
  EXPECT_FALSE(expects(post(wanted, "a"))) << "it did not wait";
  EXPECT_FALSE(expects(post("Content-Length: 3\r\n")));
  EXPECT_FALSE(expects("POST /x HTTP/1.0\r\n" + wanted + "\r\n")) << "HTTP/1.0 does not know it";
}

TEST(HttpRequestParser, HoldsLittleMemoryBetweenRequests) {
  HttpLimits limits;
  RequestParser parser(limits);
  const std::string bytes = get("X: " + std::string(12'000, 'a') + "\r\n");
  for (std::size_t at = 0; at < bytes.size();) {
    EXPECT_EQ(parser.parse(), Progress::kNeedMore);
    const std::span<char> room = parser.room();
    const std::size_t len = std::min(room.size(), bytes.size() - at);
    std::memcpy(room.data(), bytes.data() + at, len);
    parser.commit(len);
    at += len;
  }
  ASSERT_EQ(parser.parse(), Progress::kDone);
  parser.next();
  EXPECT_EQ(parser.room().size(), 4096U);
}

// ---- fuzz ----

const std::vector<std::string>& seeds() {
  static const std::vector<std::string> seeds = {
      get("X: y\r\nAccept: */*\r\n"),
      post("Content-Length: 11\r\nExpect: 100-continue\r\n", "hello world"),
      post("Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n6;a=b\r\n world\r\n0\r\nT: u\r\n\r\n"),
      "GET http://h/a/../b%20c?x=%41&y HTTP/1.1\r\nHost: h\r\nConnection: close, x\r\n\r\n",
      "POST /x HTTP/1.0\r\nContent-Length: 3\r\nConnection: keep-alive\r\n\r\nabc" + get(""),
      "OPTIONS * HTTP/1.1\r\nHost: [::1]:80\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\n",
  };
  return seeds;
}

std::string mutated(std::mt19937* random) {
  static const std::string kPieces[] = {"\r\n",
                                        "\r",
                                        "\n",
                                        " ",
                                        ":",
                                        "0\r\n\r\n",
                                        "Content-Length: 5\r\n",
                                        "%",
                                        "%00",
                                        "?",
                                        "//..",
                                        ";",
                                        "Transfer-Encoding: chunked\r\n",
                                        "HTTP/1.1",
                                        "\xff",
                                        std::string(1, '\0'),
                                        "ffffffff",
                                        ","};
  std::string bytes = seeds()[(*random)() % seeds().size()];
  for (auto left = 1 + (*random)() % 4; left > 0; --left) {
    const std::size_t at = (*random)() % (bytes.size() + 1);
    switch ((*random)() % 5) {
      case 0:
        if (at < bytes.size()) bytes[at] = static_cast<char>((*random)());
        break;
      case 1:
        bytes.insert(at, kPieces[(*random)() % std::size(kPieces)]);
        break;
      case 2:
        bytes.erase(at, (*random)() % 8);
        break;
      case 3:
        bytes.insert(at, bytes.substr((*random)() % bytes.size(), (*random)() % 40));
        break;
      default:
        bytes += seeds()[(*random)() % seeds().size()];
    }
  }
  return bytes;
}

TEST(HttpRequestParser, AnswersFuzzedBytesTheSameHoweverTheyAreCut) {
  std::mt19937 random(20'240'607);  // NOLINT(cert-msc51-cpp): the same bytes in each run
  int num_bad = 0;
  int num_good = 0;
  for (int i = 0; i < 10'000; ++i) {
    const std::string bytes = mutated(&random);
    const auto whole = outcomes(bytes, all_at_once);
    const auto cut = outcomes(bytes, [&random] { return std::size_t{1} + random() % 30; });
    ASSERT_EQ(whole, cut) << i << ": " << bytes;
    for (const std::string& each : whole) {
      const bool bad = std::isdigit(static_cast<unsigned char>(each[0])) != 0;
      ++(bad ? num_bad : num_good);
    }
  }
  // Control: the fuzzed bytes reach both ends.
  EXPECT_GT(num_bad, 2'500);
  EXPECT_GT(num_good, 2'500);
}

TEST(HttpRequestParser, SurvivesBytesOfAnyKind) {
  std::mt19937 random(7);  // NOLINT(cert-msc51-cpp): the same bytes in each run
  for (int i = 0; i < 5'000; ++i) {
    std::string bytes(random() % 300, '\0');
    for (char& c : bytes) c = static_cast<char>(random());
    for (const std::string& each : outcomes(bytes, all_at_once))
      EXPECT_TRUE(each.starts_with("400") || each.starts_with("505")) << each;
  }
}

}  // namespace
}  // namespace rewrap
