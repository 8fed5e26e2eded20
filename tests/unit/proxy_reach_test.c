/* Where an address is: every special range at both of its ends, and its neighbours. */
#include "proxy/reach.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/un.h>

#include "tests/unit/unit.h"

struct row {
	const char *address;
	enum reach reach;
};

static const struct row rows[] = {
    /* IPv4, as in IANA's registry; then what is beside each. */
    {"0.0.0.0", REACH_NONE},
    {"0.255.255.255", REACH_NONE},
    {"1.0.0.0", REACH_PUBLIC},
    {"9.255.255.255", REACH_PUBLIC},
    {"10.0.0.0", REACH_PRIVATE},
    {"10.255.255.255", REACH_PRIVATE},
    {"11.0.0.0", REACH_PUBLIC},
    {"100.63.255.255", REACH_PUBLIC},
    {"100.64.0.0", REACH_PRIVATE},
    {"100.100.100.199", REACH_PRIVATE},
    {"100.100.100.200", REACH_LINK},
    {"100.127.255.255", REACH_PRIVATE},
    {"100.128.0.0", REACH_PUBLIC},
    {"126.255.255.255", REACH_PUBLIC},
    {"127.0.0.0", REACH_LOOPBACK},
    {"127.0.0.1", REACH_LOOPBACK},
    {"127.255.255.255", REACH_LOOPBACK},
    {"128.0.0.0", REACH_PUBLIC},
    {"168.63.129.15", REACH_PUBLIC},
    {"168.63.129.16", REACH_LINK},
    {"169.253.255.255", REACH_PUBLIC},
    {"169.254.0.0", REACH_LINK},
    {"169.254.169.254", REACH_LINK},
    {"169.254.170.2", REACH_LINK},
    {"169.254.255.255", REACH_LINK},
    {"169.255.0.0", REACH_PUBLIC},
    {"172.15.255.255", REACH_PUBLIC},
    {"172.16.0.0", REACH_PRIVATE},
    {"172.31.255.255", REACH_PRIVATE},
    {"172.32.0.0", REACH_PUBLIC},
    {"191.255.255.255", REACH_PUBLIC},
    {"192.0.0.0", REACH_NONE},
    {"192.0.0.192", REACH_LINK},
    {"192.0.0.255", REACH_NONE},
    {"192.0.1.0", REACH_PUBLIC},
    {"192.0.2.0", REACH_NONE},
    {"192.0.2.255", REACH_NONE},
    {"192.0.3.0", REACH_PUBLIC},
    {"192.31.196.1", REACH_PUBLIC},
    {"192.52.193.1", REACH_PUBLIC},
    {"192.88.98.255", REACH_PUBLIC},
    {"192.88.99.1", REACH_NONE},
    {"192.88.100.0", REACH_PUBLIC},
    {"192.167.255.255", REACH_PUBLIC},
    {"192.168.0.0", REACH_PRIVATE},
    {"192.168.255.255", REACH_PRIVATE},
    {"192.169.0.0", REACH_PUBLIC},
    {"192.175.48.1", REACH_PUBLIC},
    {"198.17.255.255", REACH_PUBLIC},
    {"198.18.0.0", REACH_NONE},
    {"198.19.255.255", REACH_NONE},
    {"198.20.0.0", REACH_PUBLIC},
    {"198.51.99.255", REACH_PUBLIC},
    {"198.51.100.0", REACH_NONE},
    {"198.51.100.255", REACH_NONE},
    {"198.51.101.0", REACH_PUBLIC},
    {"203.0.112.255", REACH_PUBLIC},
    {"203.0.113.0", REACH_NONE},
    {"203.0.113.255", REACH_NONE},
    {"203.0.114.0", REACH_PUBLIC},
    {"223.255.255.255", REACH_PUBLIC},
    {"224.0.0.0", REACH_NONE},
    {"239.255.255.255", REACH_NONE},
    {"240.0.0.0", REACH_NONE},
    {"255.255.255.255", REACH_NONE},
    /* IPv6. */
    {"::", REACH_NONE},
    {"::1", REACH_LOOPBACK},
    {"::2", REACH_NONE},
    {"::127.0.0.1", REACH_NONE},
    {"::8.8.8.8", REACH_NONE},
    {"::fffe:8.8.8.8", REACH_NONE},
    {"::ffff:8.8.8.8", REACH_PUBLIC},
    {"::ffff:0.0.0.0", REACH_NONE},
    {"::ffff:127.0.0.1", REACH_LOOPBACK},
    {"::ffff:127.255.0.1", REACH_LOOPBACK},
    {"::ffff:10.1.2.3", REACH_PRIVATE},
    {"::ffff:169.254.169.254", REACH_LINK},
    {"::ffff:0:127.0.0.1", REACH_NONE},
    {"::1:0:0:0", REACH_NONE},
    {"64:ff9b::8.8.8.8", REACH_PUBLIC},
    {"64:ff9b::127.0.0.1", REACH_NONE},
    {"64:ff9b::10.0.0.1", REACH_NONE},
    {"64:ff9b::169.254.169.254", REACH_NONE},
    {"64:ff9b::1:8.8.8.8", REACH_NONE},
    {"64:ff9b:1::8.8.8.8", REACH_NONE},
    {"64:ff9b:1:ffff::1", REACH_NONE},
    {"100::1", REACH_NONE},
    {"1fff::1", REACH_NONE},
    {"2000::1", REACH_PUBLIC},
    {"2001::1", REACH_NONE},
    {"2001:0:4136:e378:8000:63bf:3fff:fdd2", REACH_NONE},
    {"2001:2::1", REACH_NONE},
    {"2001:20::1", REACH_NONE},
    {"2001:1ff:ffff::1", REACH_NONE},
    {"2001:200::1", REACH_PUBLIC},
    {"2001:db7:ffff::1", REACH_PUBLIC},
    {"2001:db8::1", REACH_NONE},
    {"2001:db8:ffff::1", REACH_NONE},
    {"2001:db9::1", REACH_PUBLIC},
    {"2002:808:808::1", REACH_PUBLIC},
    {"2002:7f00:1::1", REACH_NONE},
    {"2002:a00:1::1", REACH_NONE},
    {"2002:a9fe:a9fe::1", REACH_NONE},
    {"2003::1", REACH_PUBLIC},
    {"2606:4700::6810:84e5", REACH_PUBLIC},
    {"2620:4f:8000::1", REACH_PUBLIC},
    {"3fff::1", REACH_NONE},
    {"3fff:fff:ffff::1", REACH_NONE},
    {"3fff:1000::1", REACH_PUBLIC},
    {"4000::1", REACH_NONE},
    {"5f00::1", REACH_NONE},
    {"fbff::1", REACH_NONE},
    {"fc00::1", REACH_PRIVATE},
    {"fd00:ec2::254", REACH_LINK},
    {"fd00:ec2::23", REACH_LINK},
    {"fd00:ec3::254", REACH_PRIVATE},
    {"fd20:ce::254", REACH_LINK},
    {"fd00:c1::a9fe:a9fe", REACH_LINK},
    {"fdff:ffff::1", REACH_PRIVATE},
    {"fe00::1", REACH_NONE},
    {"fe80::1", REACH_LINK},
    {"fe80::a9fe:a9fe", REACH_LINK},
    {"febf:ffff::1", REACH_LINK},
    {"fec0::1", REACH_PRIVATE},
    {"feff:ffff::1", REACH_PRIVATE},
    {"ff00::1", REACH_NONE},
    {"ff02::1", REACH_NONE},
    {"ffff::1", REACH_NONE},
};

static void every_special_range(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct sockaddr_in v4 = {.sin_family = AF_INET};
		struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
		const struct sockaddr *address = (const struct sockaddr *)&v4;

		if (inet_pton(AF_INET, rows[i].address, &v4.sin_addr) != 1) {
			assert_int_equal(inet_pton(AF_INET6, rows[i].address, &v6.sin6_addr), 1);
			address = (const struct sockaddr *)&v6;
		}
		row_check(rows[i].address, reach_of(address) == rows[i].reach);
		row_check(rows[i].address, reach_of_text(rows[i].address) == rows[i].reach);
	}
}

/* Each IPv4 address is in one block: both notations agree on all of them, by a prime step. */
static void a_mapped_address_is_the_address(void **state)
{
	(void)state;
	for (uint64_t at = 0; at <= UINT32_MAX; at += 65521) {
		struct sockaddr_in v4 = {.sin_family = AF_INET};
		struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};

		v4.sin_addr.s_addr = htonl((uint32_t)at);
		v6.sin6_addr.s6_addr[10] = v6.sin6_addr.s6_addr[11] = 0xff;
		memcpy(v6.sin6_addr.s6_addr + 12, &v4.sin_addr, 4);
		assert_int_equal(
		    reach_of((const struct sockaddr *)&v4), reach_of((const struct sockaddr *)&v6));
	}
}

static void what_is_no_address_is_reached_by_nobody(void **state)
{
	static const char *const texts[] = {
	    "", "localhost", "127.1", "0x7f000001", "1.2.3.4.5", "[::1]", "fe80::1%eth0", "::g"};
	struct sockaddr_un local = {.sun_family = AF_UNIX};

	(void)state;
	for (size_t i = 0; i < COUNT(texts); i++)
		row_check(texts[i], reach_of_text(texts[i]) == REACH_NONE);
	assert_int_equal(reach_of((const struct sockaddr *)&local), REACH_NONE);
}

static void what_a_url_gives(void **state)
{
	static const struct {
		const char *url;
		unsigned reach, vouched; /* not private, private */
	} urls[] = {
	    {"https://api.example.com/x", REACH_PUBLIC, REACH_VOUCHED},
	    {"https://api.example.com:8443", REACH_PUBLIC, REACH_VOUCHED},
	    {"http://search:8080", REACH_PUBLIC, REACH_VOUCHED},
	    {"http://127.0.0.1.example.com", REACH_PUBLIC, REACH_VOUCHED},
	    {"http://localhost.example.com", REACH_PUBLIC, REACH_VOUCHED},
	    {"http://notlocalhost", REACH_PUBLIC, REACH_VOUCHED},
	    {"http://localhost:1", REACH_LOOPBACK, REACH_LOOPBACK},
	    {"http://LOCALHOST", REACH_LOOPBACK, REACH_LOOPBACK},
	    {"http://tool.localhost/x", REACH_LOOPBACK, REACH_LOOPBACK},
	    {"http://127.0.0.1:4021", REACH_ANY, REACH_ANY},
	    {"http://10.0.0.1", REACH_ANY, REACH_ANY},
	    {"http://169.254.169.254/", REACH_ANY, REACH_ANY},
	    {"http://[::1]:80/", REACH_ANY, REACH_ANY},
	    {"http://[fd00:ec2::254]/", REACH_ANY, REACH_ANY},
	    /* The old notations, which curl reads as addresses. */
	    {"http://2130706433/", REACH_ANY, REACH_ANY},
	    {"http://0x7f.1/", REACH_ANY, REACH_ANY},
	    {"no URL", 0, 0},
	    {"http://", 0, 0},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(urls); i++) {
		row_check(urls[i].url, reach_of_url(urls[i].url, false) == urls[i].reach);
		row_check(urls[i].url, reach_of_url(urls[i].url, true) == urls[i].vouched);
	}
}

static void what_stays_on_this_machine(void **state)
{
	static const char *const here[] = {"127.0.0.1:8402", "127.9.9.9:0", "[::1]:8402"};
	static const char *const open[] = {"0.0.0.0:8402", "[::]:8402", "10.0.0.5:8402",
	    "192.0.2.1:1", "[2001:db8::1]:8402", "localhost:8402", "127.0.0.1", "", ":",
	    "[:", "[]:1", "[", "::1", "::1:8402"};

	(void)state;
	for (size_t i = 0; i < COUNT(here); i++)
		row_check(here[i], reach_is_here(here[i]));
	for (size_t i = 0; i < COUNT(open); i++)
		row_check(open[i], !reach_is_here(open[i]));
}

static void each_has_its_words(void **state)
{
	(void)state;
	for (unsigned one = REACH_PUBLIC; one <= REACH_NONE; one <<= 1) {
		for (unsigned other = REACH_PUBLIC; other < one; other <<= 1)
			assert_string_not_equal(
			    reach_str((enum reach)one), reach_str((enum reach)other));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_special_range),
	    cmocka_unit_test(a_mapped_address_is_the_address),
	    cmocka_unit_test(what_is_no_address_is_reached_by_nobody),
	    cmocka_unit_test(what_a_url_gives),
	    cmocka_unit_test(what_stays_on_this_machine),
	    cmocka_unit_test(each_has_its_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
