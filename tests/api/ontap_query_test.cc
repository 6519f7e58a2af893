// Filters, order, pages and the parameters of a query.
#include <gtest/gtest.h>

#include <array>
#include <boost/json.hpp>
#include <string>
#include <vector>

#include "api/ontap/query.h"
#include "api/ontap/reply.h"

namespace rewrap::ontap {
namespace {

namespace json = boost::json;

constexpr std::array kTable = {
    Field{"uuid", FieldType::kUuid, Access::kRo, Shown::kAlways},
    Field{"name"},
    Field{"port", FieldType::kInteger},
    Field{"on", FieldType::kBoolean},
    Field{"at", FieldType::kTime},
    Field{"kind", FieldType::kEnum, Access::kRo, Shown::kStandard, false, "http,https"},
    Field{"svm.name"},
    Field{"list.name"},
    Field{"secret", FieldType::kString, Access::kWo},
};

// filter says whether a value given as JSON text matches; "?" if the filter is refused. "" is a field
// that is not set.
std::string filter(const char* field, std::string_view expression, const char* value) {
  const auto parsed = Filter::parse(*find_field(kTable, field), expression);
  if (!parsed.ok()) return std::to_string(parsed.status().code);
  if (*value == '\0') return parsed.value().matches({}) ? "yes" : "no";
  const json::value held = json::parse(value);
  return parsed.value().matches({&held}) ? "yes" : "no";
}

struct Row {
  const char* field;
  const char* expression;
  const char* value;
  const char* expected;
};

TEST(OntapFilter, FollowsTheTableOfOperators) {
  const Row rows[] = {
      {"name", "joe", "\"joe\"", "yes"},
      {"name", "joe", "\"Joe\"", "no"},
      {"name", "abc*", "\"abcdef\"", "yes"},
      {"name", "abc*", "\"abc\"", "yes"},
      {"name", "abc*", "\"xabc\"", "no"},
      {"name", "*xyz", "\"wxyz\"", "yes"},
      {"name", "*xyz", "\"xyzw\"", "no"},
      {"name", "a*z", "\"az\"", "yes"},
      {"name", "a*z", "\"abz\"", "yes"},
      {"name", "a*z", "\"abzc\"", "no"},
      {"name", "a*b*c", "\"a-b-b-c\"", "yes"},
      {"name", "*", "\"\"", "yes"},
      {"port", "<10", "9", "yes"},
      {"port", "<10", "10", "no"},
      {"port", "<=10", "10", "yes"},
      {"port", ">10", "11", "yes"},
      {"port", ">10", "9", "no"},
      {"port", ">=10", "10", "yes"},
      {"port", "9", "9", "yes"},
      {"port", "<10", "", "no"},
      {"port", "<10|null", "", "yes"},
      {"name", ">=joe", "\"karl\"", "yes"},
      {"name", ">=joe", "\"jim\"", "no"},
      {"port", "3..10", "3", "yes"},
      {"port", "3..10", "10", "yes"},
      {"port", "3..10", "11", "no"},
      {"port", "-3..10", "-3", "yes"},
      {"name", "jim..joe", "\"jo\"", "yes"},
      {"name", "jim..joe", "\"john\"", "no"},
      {"name", "!joe", "\"jim\"", "yes"},
      {"name", "!joe", "\"joe\"", "no"},
      {"name", "!joe", "", "no"},
      {"name", "!abc*", "\"abcd\"", "no"},
      {"port", "!3..5", "4", "no"},
      {"port", "!3..5", "6", "yes"},
      {"port", "3|5..9|>100", "3", "yes"},
      {"port", "3|5..9|>100", "4", "no"},
      {"port", "3|5..9|>100", "7", "yes"},
      {"port", "3|5..9|>100", "101", "yes"},
      {"name", "null", "", "yes"},
      {"name", "null", "null", "yes"},
      {"name", "null", "\"null\"", "no"},
      {"name", "!null", "", "no"},
      {"name", "!null", "\"x\"", "yes"},
      {"name", "\"null\"", "\"null\"", "yes"},
      {"name", "\"a*\"", "\"a*\"", "yes"},
      {"name", "\"a*\"", "\"ab\"", "no"},
      {"name", "\"a|b\"", "\"a|b\"", "yes"},
      {"name", "{a|b}", "\"a|b\"", "yes"},
      {"name", "{a\"{b}}", "\"a\\\"{b}\"", "yes"},
      {"name", "\"!a\"", "\"!a\"", "yes"},
      {"name", "{1..2}", "\"1..2\"", "yes"},
      {"name", "pre\"*\"*", "\"pre*fix\"", "yes"},
      {"name", "", "\"\"", "yes"},
      {"name", "", "\"a\"", "no"},
      {"on", "true", "true", "yes"},
      {"on", "!true", "false", "yes"},
      {"kind", "https", "\"https\"", "yes"},
      {"kind", "http*", "\"https\"", "yes"},
      {"uuid", "AB00", "\"ab00\"", "yes"},
      {"at", ">2026-01-01T00:00:00+00:00", "\"2026-01-01T00:00:01+00:00\"", "yes"},
      {"at", "2026-01-01T01:00:00+01:00", "\"2026-01-01T00:00:00+00:00\"", "yes"},
      {"at", "<2026-01-01T00:00:00Z", "\"2026-01-01T00:00:01+00:00\"", "no"},
  };
  for (const Row& row : rows)
    EXPECT_EQ(filter(row.field, row.expression, row.value), row.expected)
        << row.field << "=" << row.expression << " of " << row.value;
}

TEST(OntapFilter, RefusesWhatIsNoValueOfTheField) {
  const Row rows[] = {
      {"port", "abc", "1", "262197"},
      {"port", "", "1", "262197"},
      {"port", "<", "1", "262197"},
      {"port", "1..", "1", "262197"},
      {"port", "99999999999999999999", "1", "262197"},
      {"port", "1|x", "1", "262197"},
      {"on", "yes", "true", "262197"},
      {"kind", "ftp", "\"http\"", "262197"},
      {"at", "today", "\"x\"", "262197"},
      {"name", "\"open", "\"x\"", "262197"},
      {"name", "{open", "\"x\"", "262197"},
  };
  for (const Row& row : rows)
    EXPECT_EQ(filter(row.field, row.expression, row.value), row.expected)
        << row.field << "=" << row.expression;
  EXPECT_EQ(filter("name", std::string(64, '|'), "\"x\""), "262185");
}

TEST(OntapFilter, AManyStarredPatternEndsSoon) {
  std::string stars;
  for (int i = 0; i < 2000; ++i) stars += "a*";
  const std::string value = "\"" + std::string(2000, 'a') + "b\"";
  EXPECT_EQ(filter("name", stars + "c", value.c_str()), "no");
}

// items of a list, one of them anywhere in an array.
TEST(OntapFilter, LooksThroughArrays) {
  const json::object record = json::parse(R"({"list":[{"name":"a"},{"name":"b"},7]})").as_object();
  const auto parsed = Filter::parse(*find_field(kTable, "list.name"), "b");
  ASSERT_TRUE(parsed.ok());
  EXPECT_TRUE(parsed.value().matches(values_at(record, "list.name")));
  EXPECT_TRUE(values_at(record, "list.name.x").empty());
  EXPECT_TRUE(values_at(record, "svm.name").empty());
}

std::vector<json::object> records() {
  std::vector<json::object> all;
  for (const char* text :
       {R"({"uuid":"1","name":"b","port":2})", R"({"uuid":"2","name":"a","port":10})",
        R"({"uuid":"3","name":"c"})", R"({"uuid":"4","name":"a","port":1})"})
    all.push_back(json::parse(text).as_object());
  return all;
}

// page gives the uuids of a page, "+" if there is more, or the code of the error.
std::string page(const std::vector<HttpQueryItem>& items) {
  const auto query = parse_query(kTable, items, QueryKind::kCollection);
  if (!query.ok()) return std::to_string(query.status().code);
  const Page made = make_page(query.value(), records(), false);
  std::string uuids;
  for (const json::value& record : made.records) uuids += record.at("uuid").as_string().c_str();
  if (!query.value().return_records) uuids = "n" + std::to_string(made.num_records);
  return uuids + (made.has_more ? "+" : "");
}

TEST(OntapQuery, OrdersWithWhatIsNotSetLast) {
  EXPECT_EQ(page({}), "1234");
  EXPECT_EQ(page({{"order_by", "name"}}), "2413");
  EXPECT_EQ(page({{"order_by", "name desc"}}), "3124");
  EXPECT_EQ(page({{"order_by", "port"}}), "4123");
  EXPECT_EQ(page({{"order_by", "port desc"}}), "2143");
  EXPECT_EQ(page({{"order_by", "name asc,port desc"}}), "2413");
  EXPECT_EQ(page({{"$orderBy", "name,port"}}), "4213");
  for (const char* order : {"nothing", "name down", "name asc x", "secret", "svm", " "})
    EXPECT_EQ(page({{"order_by", order}}), "262268") << order;
}

TEST(OntapQuery, PagesAfterFilterAndOrder) {
  EXPECT_EQ(page({{"max_records", "2"}}), "12+");
  EXPECT_EQ(page({{"max_records", "2"}, {"offset", "2"}}), "34");
  EXPECT_EQ(page({{"max_records", "4"}}), "1234");
  EXPECT_EQ(page({{"offset", "9"}}), "");
  EXPECT_EQ(page({{"name", "a"}, {"max_records", "1"}}), "2+");
  EXPECT_EQ(page({{"name", "a"}, {"order_by", "port"}, {"offset", "1"}}), "2");
  EXPECT_EQ(page({{"return_records", "false"}}), "n4");
  EXPECT_EQ(page({{"return_records", "false"}, {"name", "a"}}), "n2");
  EXPECT_EQ(page({{"name", "a"}, {"port", ">5"}}), "2");
}

TEST(OntapQuery, RangesAndTypesOfParameters) {
  for (const char* value : {"0", "-1", "", "x", "1.5", "99999999999999999999"})
    EXPECT_EQ(page({{"max_records", value}}), "262197") << value;
  for (const char* value : {"121", "-1", "x", "", "0x1", " 1"})
    EXPECT_EQ(page({{"return_timeout", value}}), "262197") << value;
  EXPECT_EQ(page({{"return_timeout", "0"}}), "1234");
  EXPECT_EQ(page({{"return_timeout", "120"}}), "1234");
  EXPECT_EQ(page({{"return_records", "maybe"}}), "262197");
  EXPECT_EQ(page({{"offset", "-1"}}), "262197");
  EXPECT_EQ(page({{"pretty", "true"}, {"pretty", "false"}}), "1234");
}

TEST(OntapQuery, UnknownDoubledAndSecretParameters) {
  EXPECT_EQ(page({{"nothing", "1"}}), "262179");
  EXPECT_EQ(page({{"nothing", "1"}, {"ignore_unknown_fields", "true"}}), "1234");
  EXPECT_EQ(page({{"fields", "nothing"}, {"ignore_unknown_fields", "true"}}), "1234");
  EXPECT_EQ(page({{"name", "a"}, {"name", "b"}}), "262188");
  EXPECT_EQ(page({{"fields", "a"}, {"fields", "b"}}), "262188");
  EXPECT_EQ(page({{"order_by", "name"}, {"$orderBy", "name"}}), "262188");
  EXPECT_EQ(page({{"secret", "x"}}), "262202");
  EXPECT_EQ(page({{"secret", "x"}, {"ignore_unknown_fields", "true"}}), "262202");
  EXPECT_EQ(page({{"action", "pause"}}), "262179");
}

TEST(OntapQuery, SearchesAcrossFields) {
  EXPECT_EQ(page({{"query", "a"}, {"query_fields", "name"}}), "24");
  EXPECT_EQ(page({{"query", "2"}, {"query_fields", "*"}}), "12");
  EXPECT_EQ(page({{"query", "1"}, {"query_fields", "port,uuid"}}), "14");
  EXPECT_EQ(page({{"query", "a"}}), "262272");
  EXPECT_EQ(page({{"query_fields", "name"}}), "262273");
  EXPECT_EQ(page({{"query", "a"}, {"query_fields", "nothing"}}), "262274");
  EXPECT_EQ(page({{"query", "a"}, {"query_fields", "secret"}}), "262274");
  EXPECT_EQ(page({{"query", "a"}, {"query_fields", "port"}}), "262197");
}

TEST(OntapQuery, WhatOnlyListsTake) {
  const auto code = [](QueryKind kind, const HttpQueryItem& item) {
    const auto query = parse_query(kTable, {item}, kind);
    return query.ok() ? 0 : query.status().code;
  };
  EXPECT_EQ(code(QueryKind::kInstance, {"max_records", "1"}), 262179);
  EXPECT_EQ(code(QueryKind::kInstance, {"name", "a"}), 262179);
  EXPECT_EQ(code(QueryKind::kInstance, {"fields", ""}), 0);
  EXPECT_EQ(code(QueryKind::kPost, {"name", "a"}), 262211);
  EXPECT_EQ(code(QueryKind::kPost, {"secret", "a"}), 262202);
  EXPECT_EQ(code(QueryKind::kPost, {"order_by", "name"}), 262179);
  EXPECT_EQ(code(QueryKind::kPost, {"return_timeout", "30"}), 0);
  EXPECT_EQ(code(QueryKind::kPatch, {"name", "a"}), 262179);
  EXPECT_EQ(code(QueryKind::kDelete, {"return_timeout", "0"}), 0);
}

TEST(OntapQuery, NextPageKeepsEverythingButTheOffset) {
  EXPECT_EQ(next_target("/api/x", {{"fields", "*"}, {"offset", "2"}, {"a b", "c&d"}}, 4),
            "/api/x?fields=%2A&a%20b=c%26d&offset=4");
  EXPECT_EQ(target_of("/api/x", {}), "/api/x");
}

TEST(OntapReply, TimesGoThereAndBack) {
  EXPECT_EQ(format_time(1'763'823'449), "2025-11-22T14:57:29+00:00");
  EXPECT_EQ(parse_time("2025-11-22T14:57:29+00:00"), 1'763'823'449);
  EXPECT_EQ(parse_time("2025-11-22T09:57:29-0500"), 1'763'823'449);
  for (const char* text : {"", "2025", "2025-11-22", "2025-11-22T14:57:29", "2025-13-22T14:57:29Z",
                           "2025-11-22T24:57:29Z", "2025-11-22T14:57:29Zx", "2025-11-22 14:57:29Z",
                           "2025-11-22T14:57:29+0", "2025-11-22T14:57:29+99:00"})
    EXPECT_FALSE(parse_time(text)) << text;
}

TEST(OntapReply, AcceptDecidesOnLinks) {
  EXPECT_TRUE(wants_hal(std::nullopt));
  EXPECT_TRUE(wants_hal("*/*"));
  EXPECT_TRUE(wants_hal("application/hal+json"));
  EXPECT_TRUE(wants_hal("text/html"));
  EXPECT_TRUE(wants_hal("application/json, application/hal+json"));
  EXPECT_FALSE(wants_hal("application/json"));
}

}  // namespace
}  // namespace rewrap::ontap
