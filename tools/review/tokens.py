"""Type tokens in a preview."""

DATABASE = "postgresql:index/database:Database"
SCHEMA = "postgresql:index/schema:Schema"
ROLE = "postgresql:index/role:Role"
GRANT = "postgresql:index/grant:Grant"
DEFAULT_PRIVILEGES = "postgresql:index/defaultPrivileges:DefaultPrivileges"

MIGRATIONS = "stellaops:postgres:SchemaMigrations"
ACCESS_REVISIONS = "stellaops:postgres:AccessRevisions"
PRIVILEGES = "stellaops:postgres:Privileges"
INVENTORY = "stellaops:postgres:Inventory"
CLOSED_DATABASES = "stellaops:postgres:ClosedDatabases"
VALKEY_USERS = "stellaops:valkey:Users"
VALKEY_STREAMS = "stellaops:valkey:Streams"
CREDENTIAL = "stellaops:index:Credential"
BUCKET = "stellaops:objectstore:Bucket"
OBJECT_STORE_USER = "stellaops:objectstore:User"

AWS_BUCKET = "aws:s3/bucket:Bucket"
VERSIONING = "aws:s3/bucketVersioning:BucketVersioning"
LIFECYCLE = "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration"
OBJECT_LOCK = "aws:s3/bucketObjectLockConfiguration:BucketObjectLockConfiguration"
BUCKET_POLICY = "aws:s3/bucketPolicy:BucketPolicy"
PUBLIC_ACCESS_BLOCK = "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock"

CONFIG_MAP = "kubernetes:core/v1:ConfigMap"
SECRET = "kubernetes:core/v1:Secret"  # noqa: S105 - a type
STATEFUL_SET = "kubernetes:apps/v1:StatefulSet"
NETWORK_POLICY = "kubernetes:networking.k8s.io/v1:NetworkPolicy"
SERVICE = "kubernetes:core/v1:Service"
JOB = "kubernetes:batch/v1:Job"
CRON_JOB = "kubernetes:batch/v1:CronJob"
DISRUPTION_BUDGET = "kubernetes:policy/v1:PodDisruptionBudget"

# Components, as in the URNs of their children.
VALKEY = "stellaops:valkey:Valkey"
CONTRACT_OBJECTS = "stellaops:contract:ContractObjects"
COMPONENTS = frozenset(
    {
        VALKEY,
        CONTRACT_OBJECTS,
        "stellaops:postgres:Postgres",
        "stellaops:rustfs:ObjectStore",
        "stellaops:backups:Backups",
    }
)
