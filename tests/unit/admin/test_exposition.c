/* tests admin/exposition.c: what a scraper reads */
#include "admin/exposition.h"

#include "tests/unit/unit.h"

static void check(struct buf *out, const char *want)
{
	(void)buf_append_char(out, '\0');
	ck_assert_str_eq(out->data, want);
	buf_release(out);
}

START_TEST(rows)
{
	struct buf out;

	buf_init(&out, 4096);
	metric_number(&out, "a_total", "counter", "Of a.", 7);
	metric_head(&out, "b", "gauge", "Of b.");
	metric_labelled(&out, "b", "route", "one", -1);
	metric_row(&out, "b", METRIC_LABELS({"route", "two"}, {"kind", "x"}), 2);
	check(&out, "# HELP a_total Of a.\n# TYPE a_total counter\na_total 7\n"
		    "# HELP b Of b.\n# TYPE b gauge\n"
		    "b{route=\"one\"} -1\nb{route=\"two\",kind=\"x\"} 2\n");
}
END_TEST

/* A route may be named anything. */
START_TEST(labels_are_escaped)
{
	struct buf out;

	buf_init(&out, 4096);
	metric_labelled(&out, "b", "route", "a\"} 1\nb{c=\"\\", 3);
	check(&out, "b{route=\"a\\\"} 1\\nb{c=\\\"\\\\\"} 3\n");
}
END_TEST

START_TEST(seconds)
{
	struct buf out;

	buf_init(&out, 4096);
	metric_seconds(&out, "t_seconds", "gauge", "T.", 1795311389013000);
	metric_seconds(&out, "u_seconds", "gauge", "U.", 45);
	check(&out, "# HELP t_seconds T.\n# TYPE t_seconds gauge\nt_seconds 1795311389.013000\n"
		    "# HELP u_seconds U.\n# TYPE u_seconds gauge\nu_seconds 0.000045\n");
}
END_TEST

/* Buckets hold all that the smaller ones do; the last one is the count. */
START_TEST(a_histogram)
{
	struct histogram_view view = {0};
	struct buf out;

	histogram_view_add(&view, &histogram_prompt, 100);
	histogram_view_add(&view, &histogram_prompt, 700);
	histogram_view_add(&view, &histogram_prompt, 60000000);
	buf_init(&out, 4096);
	metric_histogram(&out, "h", METRIC_LABELS({"route", "r"}), &histogram_prompt, &view);
	check(&out,
	      "h_bucket{route=\"r\",le=\"0.00025\"} 1\nh_bucket{route=\"r\",le=\"0.0005\"} 1\n"
	      "h_bucket{route=\"r\",le=\"0.001\"} 2\nh_bucket{route=\"r\",le=\"0.0025\"} 2\n"
	      "h_bucket{route=\"r\",le=\"0.005\"} 2\nh_bucket{route=\"r\",le=\"0.01\"} 2\n"
	      "h_bucket{route=\"r\",le=\"0.025\"} 2\nh_bucket{route=\"r\",le=\"0.05\"} 2\n"
	      "h_bucket{route=\"r\",le=\"0.1\"} 2\nh_bucket{route=\"r\",le=\"0.25\"} 2\n"
	      "h_bucket{route=\"r\",le=\"0.5\"} 2\nh_bucket{route=\"r\",le=\"1\"} 2\n"
	      "h_bucket{route=\"r\",le=\"2.5\"} 2\nh_bucket{route=\"r\",le=\"5\"} 2\n"
	      "h_bucket{route=\"r\",le=\"10\"} 2\nh_bucket{route=\"r\",le=\"+Inf\"} 3\n"
	      "h_sum{route=\"r\"} 60.000800\nh_count{route=\"r\"} 3\n");
	buf_init(&out, 4096);
	metric_histogram(&out, "h", NULL, &histogram_patient, &(struct histogram_view){0});
	check(&out,
	      "h_bucket{le=\"0.01\"} 0\nh_bucket{le=\"0.05\"} 0\nh_bucket{le=\"0.25\"} 0\n"
	      "h_bucket{le=\"1\"} 0\nh_bucket{le=\"5\"} 0\nh_bucket{le=\"15\"} 0\n"
	      "h_bucket{le=\"60\"} 0\nh_bucket{le=\"300\"} 0\nh_bucket{le=\"900\"} 0\n"
	      "h_bucket{le=\"1800\"} 0\nh_bucket{le=\"3600\"} 0\nh_bucket{le=\"7200\"} 0\n"
	      "h_bucket{le=\"21600\"} 0\nh_bucket{le=\"86400\"} 0\nh_bucket{le=\"172800\"} 0\n"
	      "h_bucket{le=\"+Inf\"} 0\nh_sum 0.000000\nh_count 0\n");
}
END_TEST

UNIT_MAIN("admin/exposition", rows, labels_are_escaped, seconds, a_histogram)
