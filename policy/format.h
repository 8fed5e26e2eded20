/* policy/format.h - a policy written in the full form. Internal to policy/. */
#ifndef POLICY_FORMAT_H
#define POLICY_FORMAT_H

#include "common/buf.h"
#include "policy/policy.h"

/** Appends the text that policy_format() gives; needs no index. */
void policy_write(struct buf *out, const struct policy *policy);

#endif
