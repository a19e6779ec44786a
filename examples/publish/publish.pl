# Publishes one message:  perl publish.pl CHANNEL JSON
# BAYEUX_URL names the broker's endpoint; BAYEUX_KEY is an API key, for brokers that want one.
use strict;
use warnings;
use HTTP::Tiny;
use JSON::PP;

my $json = JSON::PP->new->utf8->allow_nonref;

sub publish {
    my ($channel, $data) = @_;
    my %headers = ('Content-Type' => 'application/json');
    $headers{Authorization} = "Bearer $ENV{BAYEUX_KEY}" if $ENV{BAYEUX_KEY};
    my $answer = HTTP::Tiny->new(timeout => 10)->post(
        $ENV{BAYEUX_URL} // 'http://127.0.0.1:8080/bayeux',
        { headers => \%headers, content => $json->encode({ channel => $channel, data => $data }) },
    );
    die $answer->{content} if $answer->{status} == 599;    # how HTTP::Tiny tells that there was no answer
    my $reply = eval { $json->decode($answer->{content})->[0] };
    die "HTTP status $answer->{status}, and no reply\n" unless ref $reply eq 'HASH';
    die "refused: $reply->{error}\n" unless $reply->{successful};
}

if (@ARGV != 2) {
    print STDERR "usage: perl publish.pl CHANNEL JSON\n";
    exit 2;
}
eval { publish($ARGV[0], $json->decode($ARGV[1])); 1 } or do {
    print STDERR "publish: $@";
    exit 1;
};
