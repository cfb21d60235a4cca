#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
#
# Each example of docs/nginx.md, docs/apache.md, docs/tuning.md and README.md,
# and the samples that are installed: the servers take them without a warning,
# in the places where the pages say that they may stand.
use strict;
use warnings;
use FCNG::Host::Apache;
use FCNG::Host::Nginx;
use FCNG::Util qw(slurp top);
use Test::More;

sub page { slurp(top() . "/docs/$_[0].md") }

# [heading, the indented lines below it] from one heading to another.
sub examples {
    my ($page, $from, $to) = @_;
    my ($text) = page($page) =~ /^\#\# \Q$from\E\n(.*?)^\#\# \Q$to\E/ms;
    my @found;
    my (undef, @parts) = split /^\#{2,3} (.*)\n/m, "## $from\n$text";
    while (my ($title, $part) = splice @parts, 0, 2) {
        my $code = join "\n", $part =~ /^    (.*)$/mg;
        push @found, [$title, "$code\n"] if $code =~ /\S/;
    }
    return @found;
}

# A page's pieces for one server, by how they begin.
sub pieces {
    my ($page, $begins) = @_;
    my @found = grep { $_ =~ $begins } map { s/^    //mgr }
        page($page) =~ /((?:^    .*\n)+)/mg;
    cmp_ok(scalar @found, '>', 0, "examples in $page.md");
    return @found;
}

sub checked {
    my ($what, $host) = @_;
    my ($exit, $said) = $host->test_conf;
    ok($exit == 0 && $said !~ /\[warn\].* in \S+:\d|: warn\]|AH\d+: Warn/,
        $what) or diag($said);
    return;
}

# Where a piece for nginx stands: what it begins with tells.
sub nginx {
    my ($title, $code) = @_;
    my $host = FCNG::Host::Nginx->new;
    my $port = FCNG::Util::free_port();
    $code =~ s/^(\s*listen) (?:80|8080);/$1 127.0.0.1:$port;/mg;
    $code =~ s{/tmp/fastcgi_ng_cache}{$host->{dir}/tmp/cache}g;
    if ($code =~ /^(?:server|upstream|log_format|\S+cache_path)\b/m) {
        $host->main(nginx => $code);
    }
    elsif ($code =~ /^location\b/m) {
        $host->server(nginx => $code);
    }
    else {
        # Directives alone: in http, server and location they may stand.
        $host->server(nginx => "location /x {\n$code\n"
            . "fastcgi_ng_pass 127.0.0.1:9000;\n}\n");
        my $also = FCNG::Host::Nginx->new;
        $also->main(nginx => $code);
        checked("nginx.md, $title: in http", $also);
    }
    checked("nginx.md, $title", $host);
    return;
}

sub apache {
    my ($title, $code) = @_;
    my $host = FCNG::Host::Apache->new(load => [qw(ssl filter auth_basic
        authn_core authn_file authz_user)]);
    my $pools = join '', map { $code =~ /^FastCgiNgPool $_ /m ? ()
        : "FastCgiNgPool $_ 127.0.0.1:9000\n" } qw(php api auth);
    $host->server(apache => "$pools$code");
    checked("apache.md, $title", $host);
    return;
}

my %missing = map { $_->name => $_->missing // '' }
    qw(FCNG::Host::Nginx FCNG::Host::Apache);

SKIP: {
    skip $missing{nginx}, 1 if $missing{nginx};
    my @found = examples('nginx', 'Directives', 'Logs');
    cmp_ok(scalar @found, '>', 35, 'examples for nginx');
    nginx(@$_) for @found;
    # The first one is a whole file.
    my ($first) = page('nginx') =~ /^    http \{\n(.*?)^    \}/ms;
    nginx('the beginning', $first =~ s/^        //mgr);
    nginx('tuning.md', $_)
        for pieces('tuning', qr/^(?:fastcgi_ng|log_format)/);
    nginx('README.md', $_) for pieces('../README', qr/^upstream/);
    nginx('samples/nginx.conf', slurp(top() . '/docs/samples/nginx.conf'));
}

SKIP: {
    skip $missing{apache}, 1 if $missing{apache};
    my @found = examples('apache', 'Directives', 'Logs');
    cmp_ok(scalar @found, '>', 11, 'examples for Apache');
    apache(@$_) for @found;
    my ($first) = page('apache')
        =~ /^    LoadModule .*?\n((?:(?:    .*)?\n)+)/m;
    apache('the beginning', $first =~ s/^    //mgr);
    apache('tuning.md', $_) for pieces('tuning', qr/^LogFormat/);
    apache('README.md', $_) for pieces('../README', qr/^FastCgiNgPool/);
    apache('samples/apache.conf', slurp(top() . '/docs/samples/apache.conf'));
}
done_testing();
