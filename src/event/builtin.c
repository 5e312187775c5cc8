/*
 * builtin.c - the schemas of our own records, as the program carries them.
 *
 * A copy of schemas/example.avsc and schemas/dead_letter.avsc; a test holds them equal.
 */
#include "event/records.h"

static const char example_json[] =
    "{\n"
    "  \"type\": \"record\",\n"
    "  \"name\": \"Example\",\n"
    "  \"namespace\": \"espalier\",\n"
    "  \"doc\": \"A labelled impression. The type of its field impression is replaced by "
    "the users' own schema, so that their record goes in byte for byte.\",\n"
    "  \"fields\": [\n"
    "    {\"name\": \"impression_id\", \"type\": \"bytes\", \"doc\": \"The id's bytes; "
    "of int and long ids the zigzag varint.\"},\n"
    "    {\"name\": \"impression_time\", \"type\": {\"type\": \"long\", \"logicalType\": "
    "\"timestamp-micros\"}},\n"
    "    {\"name\": \"click_time\", \"type\": [\"null\", {\"type\": \"long\", "
    "\"logicalType\": \"timestamp-micros\"}], \"default\": null},\n"
    "    {\"name\": \"install_time\", \"type\": [\"null\", {\"type\": \"long\", "
    "\"logicalType\": \"timestamp-micros\"}], \"default\": null},\n"
    "    {\"name\": \"maturity\", \"type\": {\"type\": \"long\", \"logicalType\": "
    "\"timestamp-micros\"}, \"doc\": \"When the label was final, in event time.\"},\n"
    "    {\"name\": \"stage\", \"type\": {\"type\": \"enum\", \"name\": \"Stage\", "
    "\"symbols\": [\"CLICK\", \"INSTALL\", \"WHOLE\"]}, \"doc\": \"Which label this is: "
    "CLICK at the end of the click window, INSTALL of clicked impressions, WHOLE at the "
    "end of both.\"},\n"
    "    {\"name\": \"click\", \"type\": \"boolean\"},\n"
    "    {\"name\": \"install\", \"type\": [\"null\", \"boolean\"], \"default\": null, "
    "\"doc\": \"Null at stage CLICK: not yet decided.\"},\n"
    "    {\"name\": \"weight\", \"type\": \"double\", \"doc\": \"Importance weight: "
    "base_weight, times 1/r for unclicked impressions that were kept with probability "
    "r.\"},\n"
    "    {\"name\": \"base_weight\", \"type\": \"double\", \"doc\": \"The weight that "
    "the impression came with, else 1.\"},\n"
    "    {\"name\": \"holdout\", \"type\": \"boolean\", \"doc\": \"Never trained on.\"},\n"
    "    {\"name\": \"impression\", \"type\": {\"type\": \"record\", \"name\": "
    "\"Placeholder\", \"fields\": []}}\n"
    "  ]\n"
    "}\n";

static const char dead_letter_json[] =
    "{\n"
    "  \"type\": \"record\",\n"
    "  \"name\": \"DeadLetter\",\n"
    "  \"namespace\": \"espalier\",\n"
    "  \"doc\": \"An event that was not joined, as it came, and why. Keyed by topic, "
    "partition and offset.\",\n"
    "  \"fields\": [\n"
    "    {\"name\": \"kind\", \"type\": {\"type\": \"enum\", \"name\": \"EventKind\", "
    "\"symbols\": [\"IMPRESSION\", \"CLICK\", \"INSTALL\"]}},\n"
    "    {\"name\": \"verdict\", \"type\": {\"type\": \"enum\", \"name\": \"Verdict\", "
    "\"symbols\": [\"LATE\", \"DEAD\"]}},\n"
    "    {\"name\": \"reason\", \"type\": \"string\"},\n"
    "    {\"name\": \"topic\", \"type\": \"string\"},\n"
    "    {\"name\": \"partition\", \"type\": \"int\"},\n"
    "    {\"name\": \"offset\", \"type\": \"long\"},\n"
    "    {\"name\": \"log_time\", \"type\": [\"null\", {\"type\": \"long\", "
    "\"logicalType\": \"timestamp-micros\"}], \"default\": null, \"doc\": \"The record's "
    "own timestamp in the log.\"},\n"
    "    {\"name\": \"event_time\", \"type\": [\"null\", {\"type\": \"long\", "
    "\"logicalType\": \"timestamp-micros\"}], \"default\": null},\n"
    "    {\"name\": \"value\", \"type\": [\"null\", \"bytes\"], \"default\": null, "
    "\"doc\": \"The record as it stood in the log, framing included; null for a "
    "tombstone.\"}\n"
    "  ]\n"
    "}\n";

const char *esp_schema_example_json(void)
{
    return example_json;
}

const char *esp_schema_dead_letter_json(void)
{
    return dead_letter_json;
}
