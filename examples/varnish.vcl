vcl 4.1;

# Varnish in front of copydesk, with COPYDESK_CDN=varnish and COPYDESK_CDN_PURGE_URL=http://this-host:6081.

backend default {
    .host = "127.0.0.1";
    .port = "8080";
}

# Who may purge: the host that copydesk runs on. What stands before Varnish on the same host (TLS) must pass no PURGE on: to
# Varnish it all comes from there.
acl purgers {
    "127.0.0.1";
    "::1";
}

sub vcl_recv {
    if (req.method == "PURGE") {
        if (client.ip !~ purgers) {
            return (synth(403));
        }
        if (req.http.Surrogate-Key !~ "^[a-z2-7]+( [a-z2-7]+)*$") {
            return (synth(400));
        }
        # Also what is stale already: nothing of it is served any more.
        ban("obj.http.Surrogate-Key ~ (^|\s)(" + regsuball(req.http.Surrogate-Key, " ", "|") + ")(\s|$)");
        return (synth(200, "Purged"));
    }
    if (req.url ~ "^/api/v1/(auth|manage|previews|contact-)") {
        return (pass);
    }
    # Delivery looks at neither, and what has one would not be kept.
    unset req.http.Authorization;
    unset req.http.Cookie;
}

sub vcl_deliver {
    # Nobody further on is told to purge, so nobody further on may hold it unasked.
    unset resp.http.Surrogate-Key;
    set resp.http.Cache-Control = regsub(resp.http.Cache-Control, ", s-maxage=[0-9]+, stale-while-revalidate=[0-9]+", ", must-revalidate");
}
